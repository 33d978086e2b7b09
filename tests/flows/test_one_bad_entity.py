"""One bad track of many: it alone fails, and everybody who looks sees it."""

import inspect

import dagster as dg

from tests.flows import flow_jobs
from tests.flows.catalogue import Catalogue, Outcome, tracks

FIRST_BAD = 12
BAD = [f"bad-{number:02}" for number in range(FIRST_BAD)]
GOOD = [f"good-{number:02}" for number in range(28)]
RECORDS = {"ASSET_MATERIALIZATION", "ASSET_OBSERVATION"}
LINE = inspect.getsource(flow_jobs).partition("raise ValueError")[0].count("\n") + 1
RAISED = f"(tests/flows/flow_jobs.py:{LINE})"
ASSETS = ("recording", "mel", "report")


def first_run(catalogue: Catalogue, bad: list[str]) -> Outcome:
    """A run over all 40, of which these are bad."""
    catalogue.register(*GOOD, *BAD)
    for entity in GOOD + BAD:
        catalogue.put(f"tracks/{entity}.txt", b"bad" if entity in bad else b"some track")
    return catalogue.run(tracks(), entities="all")


def failed(catalogue: Catalogue, asset: str) -> set[str]:
    """The partitions that Dagster shows as failed."""
    made = tracks().partitions_def
    status = catalogue.instance.get_status_by_partition(
        dg.AssetKey(asset), [*GOOD, *BAD], partitions_def=made
    )
    assert status is not None
    return {e for e, s in status.items() if s is not None and s.value == "FAILED"}


def test_only_the_bad_entity_fails_and_its_partition_tells_why(catalogue: Catalogue) -> None:
    run = first_run(catalogue, bad=BAD[:1])

    assert run.counts("materialized") == dict.fromkeys(ASSETS, 39)
    assert run.counts("failed") == dict.fromkeys(ASSETS, 1)
    assert run.failures == {(BAD[0], "recording"): f"ValueError: it says bad {RAISED}"}
    assert run.summary is not None
    assert run.summary["blocked"] == 2
    for asset in ASSETS:
        assert failed(catalogue, asset) == {BAD[0]}
        assert catalogue.materialized(asset) == {*GOOD, *BAD} - {BAD[0]}
    (observed,) = catalogue.instance.fetch_observations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("recording"), asset_partitions=[BAD[0]]),
        limit=10,
    ).records
    assert observed.asset_observation is not None
    assert observed.asset_observation.description == f"ValueError: it says bad {RAISED}"
    assert "in text" in str(observed.asset_observation.metadata["traceback"].value)


def test_the_run_shows_ten_failures_and_lists_all(catalogue: Catalogue) -> None:
    run = first_run(catalogue, bad=BAD)

    assert run.error.startswith("12 failed, 24 blocked by them: bad-")
    shown = run.metadata["first_failures"].records
    assert len(shown) == 10
    full = catalogue.failure_list(run.run_id)
    assert sorted(failure["entity"] for failure in full) == BAD
    assert run.metadata["full_list"].value.startswith(str(catalogue.folder))
    for asset in ASSETS:
        assert failed(catalogue, asset) == set(BAD)

    # All was recorded before the run failed.
    events = [e.dagster_event for e in catalogue.instance.all_logs(run.run_id)]
    kinds = [event.event_type_value for event in events if event is not None]
    recorded = [n for n, kind in enumerate(kinds) if kind in RECORDS]
    assert len(recorded) == 40 * len([*ASSETS, "their source"])
    assert max(recorded) < kinds.index("STEP_FAILURE")

    # What was mended is computed, and shown so.
    for entity in BAD[1:3]:
        catalogue.put(f"tracks/{entity}.txt", b"mended")

    mended = catalogue.run(tracks(), entities="all")

    assert mended.counts("materialized") == dict.fromkeys(ASSETS, 2)
    assert mended.counts("skipped") == dict.fromkeys(ASSETS, 28)
    for asset in ASSETS:
        assert failed(catalogue, asset) == {BAD[0], *BAD[3:]}
