"""Dependencies outside the group: another team's entity asset in another store, a shared asset."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from klio_dagster.codecs.array import Array
from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.defs.decorator import klio_assets
from klio_dagster.defs.engines import LocalEngine
from klio_dagster.defs.resource import KlioResource
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import TRACKS, Catalogue, Outcome, group


@klio_assets(
    partitions_def=TRACKS,
    assets=[EntityAsset("recording", jobs.text, source="tracks/{entity}.txt", output=Json())],
)
def theirs(context: dg.AssetExecutionContext, their_klio: KlioResource):
    yield from their_klio.run(context=context)


def weights(version: str) -> dg.AssetsDefinition:
    @dg.asset(name="weights")
    def made() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion(version))

    return made


def ours(deps: Sequence[object] = (theirs, dg.AssetKey("weights"))) -> dg.AssetsDefinition:
    return group(
        EntityAsset("weighted", jobs.with_weight, deps=deps, output=Json()),
        EntityAsset("mel", jobs.length, deps=[theirs], output=Json()),
    )


@pytest.fixture
def their_store(catalogue: Catalogue, tmp_path: Path) -> Path:
    """Their store holds tracks a and b; an odd name, since it is also part of a uri."""
    folder = tmp_path / "their store #1 100%"
    (folder / "tracks").mkdir(parents=True)
    for entity in ("a", "b"):
        (folder / f"tracks/{entity}.txt").write_text(f"theirs, {entity}")
    catalogue.register("a", "b")
    return folder


def set_weights(catalogue: Catalogue, version: str) -> None:
    assert dg.materialize([weights(version)], instance=catalogue.instance).success


def run(catalogue: Catalogue, their_store: Path, *select: str) -> Outcome:
    their_klio = KlioResource(store=str(their_store), engine=LocalEngine(workers=1))
    return catalogue.run(
        theirs,
        ours(),
        dg.AssetSpec("weights"),
        resources={"their_klio": their_klio},
        select=select,
        entities="all",
    )


def test_other_groups_are_loaded_and_shared_assets_count(
    catalogue: Catalogue, their_store: Path
) -> None:
    too_early = run(catalogue, their_store, "weighted", "mel")
    missing = "input_missing: 'recording' has no output yet; compute it first"
    assert too_early.failures == {(e, a): missing for e in "ab" for a in ("weighted", "mel")}

    assert run(catalogue, their_store, "recording").success
    set_weights(catalogue, "1")
    first = run(catalogue, their_store, "weighted", "mel")

    assert first.counts("materialized") == {"weighted": 2, "mel": 2}
    recording = {"id": "a", "text": "theirs, a"}
    assert catalogue.load("weighted/a.json") == {"recording": recording, "weights": None}
    assert not (catalogue.folder / "recording").exists()

    set_weights(catalogue, "2")
    assert run(catalogue, their_store, "mel").counts("skipped") == {"mel": 2}
    changed = run(catalogue, their_store, "weighted", "mel")
    assert changed.counts("materialized") == {"weighted": 2, "mel": 0}
    assert run(catalogue, their_store, "weighted").counts("skipped") == {"weighted": 2}


def test_two_groups_in_one_run_are_computed_in_their_order(
    catalogue: Catalogue, their_store: Path
) -> None:
    both = run(catalogue, their_store, "recording", "mel")

    assert both.success
    assert catalogue.materialized("mel") == {"a", "b"}
    assert catalogue.store.exists("mel/b.json")


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"uri": "recording/b.json", "codec": {"name": "json"}}, id="relative uri"),
    ],
)
def test_a_partition_reported_by_hand_stops_no_other(
    catalogue: Catalogue, their_store: Path, metadata: dict[str, object]
) -> None:
    """The UI lets people report a materialisation: it has no uri that we could load."""
    (their_store / "tracks/a.txt").unlink()
    run(catalogue, their_store, "recording")
    assert catalogue.materialized("recording") == {"b"}
    by_hand = dg.AssetMaterialization("recording", partition="a", metadata=metadata)
    catalogue.instance.report_runless_asset_event(by_hand)

    mixed = run(catalogue, their_store, "mel")

    assert mixed.counts("materialized") == {"mel": 1}
    assert list(mixed.failures) == [("a", "mel")]
    assert mixed.failures["a", "mel"].startswith("input_missing: 'recording' cannot be loaded: ")


def test_an_asset_with_other_partitions_is_refused_when_it_runs(catalogue: Catalogue) -> None:
    """Named by key, it is known only where both are defined."""
    daily = dg.AssetSpec("daily", partitions_def=dg.StaticPartitionsDefinition(["mon"]))
    made = group(
        EntityAsset("mel", jobs.named, deps=[dg.AssetKey("daily")], output=Array()),
    )
    catalogue.register("a")

    refused = catalogue.run(made, daily, entities="all")

    assert refused.error == (
        "klio_dagster.errors.ConfigError: asset 'mel': 'daily' is partitioned by something else;"
        " depend on assets with the same partitions, or on unpartitioned ones"
    )


def test_an_asset_that_the_code_location_does_not_define_is_refused_when_it_runs(
    catalogue: Catalogue,
) -> None:
    """Nobody knows whether it has partitions, so neither whether to wait for its outputs."""
    made = group(
        EntityAsset("mel", jobs.with_weight, deps=[dg.AssetKey("recording")], output=Json())
    )
    catalogue.register("a")

    refused = catalogue.run(made, entities="all")

    assert refused.error == (
        "klio_dagster.errors.ConfigError: asset 'mel': 'recording' is not defined in this code"
        " location; put dg.AssetSpec('recording', partitions_def=...) beside the group, without"
        " partitions_def if it has none"
    )


def test_an_asset_that_was_given_as_a_definition_need_not_be_defined_again(
    catalogue: Catalogue, their_store: Path
) -> None:
    """As where another team's package is installed, but its assets are of another code location."""
    assert run(catalogue, their_store, "recording").success
    made = group(EntityAsset("mel", jobs.length, deps=[theirs], output=Json()))

    alone = catalogue.run(made, entities="all")

    assert alone.counts("materialized") == {"mel": 2}
