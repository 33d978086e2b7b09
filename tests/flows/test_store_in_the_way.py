"""A store that cannot be written to is one line, whoever runs this (root may write anywhere)."""

import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import Catalogue, group

IN_THE_WAY = "a file stands where a folder is needed, or the reverse: move it away"


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("", id="instead of the store"),
        pytest.param("_klio", id="instead of our folder"),
        pytest.param("_klio/receipts", id="instead of the receipts"),
    ],
)
def test_a_file_in_the_way_of_the_store_is_one_line(catalogue: Catalogue, place: str) -> None:
    made = group(EntityAsset("named", jobs.named, output=Json()))
    catalogue.register("a")
    file = catalogue.folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"in the way")

    run = catalogue.run(made, entities="all")

    assert not run.success
    assert run.error.startswith("klio_dagster.errors.")
    assert "\n" not in run.error
    assert str(file) in run.error
    assert file.read_bytes() == b"in the way"


def test_a_file_in_the_way_of_one_asset_fails_that_asset_only(catalogue: Catalogue) -> None:
    made = group(
        EntityAsset("named", jobs.named, output=Json()),
        EntityAsset("other", jobs.named, output=Json()),
    )
    catalogue.register("a")
    catalogue.put("named", b"in the way")

    run = catalogue.run(made, entities="all")

    assert run.counts("materialized") == {"named": 0, "other": 1}
    error = run.failures["a", "named"]
    assert IN_THE_WAY in error
    assert f"{catalogue.folder}/named" in error
