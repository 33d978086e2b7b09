"""What Dagster's own pages say of what the ledger wrote is true."""

import dagster as dg
import pytest

from klio_dagster.ledger.events import RunIdentity
from tests.ledger.catalogue import LEDGERS, TRACKS, definitions, failed, mel, new_run, recording
from tests.ledger.graphql import Page


@pytest.fixture
def page(instance, tmp_path):
    instance.add_dynamic_partitions(TRACKS.name, ["a", "b", "c"])
    return Page(instance, tmp_path)


def test_what_was_just_recorded_is_up_to_date(ledger, page):
    ledger.observe_sources(None, "source", {"a": "s1"})
    ledger.record(new_run(), [recording("a"), mel("a")])

    assert page.why_stale("recording", "a") == []
    assert page.why_stale("audio/mel", "a") == []
    assert page.asset("recording", "b")["staleStatus"] == "MISSING"


def test_outputs_of_several_runs_are_up_to_date(ledger, page):
    ledger.observe_sources(None, "source", {"a": "s1"})
    ledger.record(new_run(), [recording("a")])
    ledger.record(new_run(), [mel("a")])

    assert page.why_stale("audio/mel", "a") == []


def test_a_new_code_version_shows_and_only_there(ledger, page):
    ledger.observe_sources(None, "source", {"a": "s1"})
    ledger.record(new_run(), [recording("a"), mel("a")])

    assert page.why_stale("recording", "a", code_version="c2") == ["has a new code version"]
    assert page.why_stale("audio/mel", "a", code_version="c2") == []


def test_a_changed_recording_shows_as_upstream_changed(ledger, page):
    ledger.observe_sources(None, "source", {"a": "s1", "b": "s1"})
    ledger.record(new_run(), [recording("a"), recording("b")])
    ledger.observe_sources(None, "source", {"a": "s2"})

    assert page.why_stale("recording", "a") == ["has a new data version"]
    assert page.why_stale("recording", "b") == []


def test_a_recomputed_upstream_shows_only_if_its_data_changed(ledger, page):
    ledger.observe_sources(None, "source", {"a": "s1", "b": "s1"})
    ledger.record(new_run(), [recording("a"), mel("a"), recording("b"), mel("b")])
    ledger.record(new_run(), [recording("a", "r1", at=5), recording("b", "r2", at=5)])

    assert page.why_stale("audio/mel", "a") == []
    assert page.why_stale("audio/mel", "b") == ["has a new data version"]


def test_an_output_made_from_an_older_upstream_is_stale_from_the_start(ledger, page):
    """Two runs cross: the upstream is made anew while what depends on its old output finishes."""
    ledger.observe_sources(None, "source", {"a": "s1"})
    ledger.record(new_run(), [recording("a", "r1", at=1)])
    ledger.record(new_run(), [recording("a", "r2", at=2)])
    ledger.record(new_run(), [recording("a", "r2", at=3)])
    ledger.record(new_run(), [mel("a", made_from="r1", at=4)])

    assert page.why_stale("audio/mel", "a") == ["has a new data version"]


def test_the_partition_page_shows_metadata_and_the_error_of_a_failure(ledger, page):
    picture = {"waveform": b"\x89PNG" + bytes(600)}
    ledger.record(new_run(), [recording("a", metadata={"peak": 1 / 3}, figures=picture)])
    ledger.record(new_run(), [failed("a")])

    shown = page.asset("recording", "a")
    made = shown["latestMaterializationByPartition"][0]
    entries = {entry["label"]: entry for entry in made["metadataEntries"]}
    error = shown["assetObservations"][0]
    assert entries["peak"]["floatValue"] == 0.333333
    assert len(entries["waveform"]["mdStr"]) < 1000
    assert "no audio in it" in error["description"]
    assert any("line 2" in entry.get("mdStr", "") for entry in error["metadataEntries"])


def test_the_lines_of_a_run_name_what_it_recorded(page, instance):
    def body(context):
        run = RunIdentity.of_context(context)
        LEDGERS["batched"](instance).record(run, [recording("a"), failed("b")])

    result = execute(instance, body)

    lines = page.run(result.run_id)
    made = [line for line in lines if line["__typename"] == "MaterializationEvent"]
    seen = [line for line in lines if line["__typename"] == "ObservationEvent"]
    assert [(line["partition"], line["stepKey"]) for line in made] == [("a", "track_audio")]
    assert [(line["partition"], line["stepKey"]) for line in seen] == [("b", "track_audio")]
    assert made[0]["message"]


@pytest.mark.parametrize("kind", LEDGERS)
@pytest.mark.parametrize("subsets", ["", "1"], ids=["stock", "subset-events"])
def test_failed_partitions_are_counted_failed_once_the_run_has_failed(
    page, instance, kind, subsets, monkeypatch
):
    monkeypatch.setenv("DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS", subsets)
    ledger = LEDGERS[kind](instance)
    ledger.record(new_run(), [mel("c", at=0.5)])

    def body(context):
        run = RunIdentity.of_context(context)
        ledger.record(run, [recording("a"), mel("a"), recording("b"), failed("c")])
        ledger.record(run, [failed("b", asset="audio/mel")])
        ledger.mark_failed(run, [("recording", "c"), ("audio/mel", "b"), ("audio/mel", "c")])
        raise dg.Failure("3 failed", allow_retries=False)

    execute(instance, body)

    recordings = page.asset("recording", "c")
    mels = page.asset("audio/mel", "c")
    assert recordings["assetPartitionStatuses"] == {
        "materializedPartitions": ["a", "b"],
        "failedPartitions": ["c"],
        "unmaterializedPartitions": ["c"],
    }
    assert sorted(mels["assetPartitionStatuses"]["failedPartitions"]) == ["b", "c"]
    assert mels["partitionStats"]["numFailed"] == 2
    assert mels["partitionStats"]["numPartitions"] == 3


def test_a_failed_partition_is_good_again_once_it_is_recorded(page, instance):
    ledger = LEDGERS["batched"](instance)

    def body(context):
        ledger.mark_failed(RunIdentity.of_context(context), [("recording", "a")])
        raise dg.Failure("1 failed", allow_retries=False)

    execute(instance, body)
    before = page.asset("recording", "a")["partitionStats"]
    ledger.record(new_run(), [recording("a")])
    after = page.asset("recording", "a")["partitionStats"]

    assert (before["numFailed"], before["numMaterialized"]) == (1, 0)
    assert (after["numFailed"], after["numMaterialized"]) == (0, 1)


@pytest.mark.parametrize("kind", LEDGERS)
def test_what_a_dead_run_finished_is_recorded_under_that_run(instance, kind):
    """The run was killed; another process folds its receipts and reports it failed."""
    ledger = LEDGERS[kind](instance)
    dead = instance.create_run_for_job(
        definitions().resolve_implicit_global_asset_job_def(), status=dg.DagsterRunStatus.STARTED
    )
    run = RunIdentity.of_run(instance, dead.run_id)

    ledger.record(run, [recording("a"), failed("b")])
    ledger.mark_failed(run, [("recording", "b")])
    instance.report_run_failed(dead)

    made = instance.fetch_materializations(dg.AssetKey("recording"), limit=5).records
    assert [(event.run_id, event.partition_key) for event in made] == [(dead.run_id, "a")]
    assert made[0].timestamp == recording("a").finished_at
    assert made[0].event_log_entry.job_name == dead.job_name
    assert [f.run_id for f in ledger.failures(["recording"], None)] == [dead.run_id]


def execute(instance, body):
    job = definitions(body).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags={"dagster/defer_asset_events": "true"},
    )
