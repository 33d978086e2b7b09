"""What retries and deaths leave in Dagster's log, and what the next plan makes of it."""

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from tests.engine import fault_jobs as jobs
from tests.flows.catalogue import Catalogue, group


def test_attempts_are_shown_and_what_went_on_after_a_death_is_up_to_date(
    catalogue: Catalogue,
) -> None:
    made = group(
        EntityAsset("first", jobs.named, output=Json()),
        EntityAsset("poison", jobs.poison, deps=["first"], output=Json()),
        EntityAsset("beside", jobs.of_first, deps=["first"], output=Json()),
        EntityAsset(
            "flaky",
            jobs.fails_at_first,
            output=Json(),
            params={"folder": str(catalogue.folder), "times": 1},
        ),
    )
    catalogue.register("segfault-1")

    run = catalogue.run(made, entities="all")

    assert set(run.failures) == {("segfault-1", "poison")}
    reasons = catalogue.reasons(made, "segfault-1")
    assert reasons["first"] == reasons["beside"] == reasons["flaky"] == "up_to_date"
    event = catalogue.instance.get_latest_materialization_event(dg.AssetKey("flaky"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["attempts"].value == 2
    earlier = str(metadata["earlier_errors"].value)
    assert earlier.startswith("ConnectionError: call 1 of segfault-1 (tests/")
