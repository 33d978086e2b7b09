"""What Dagster's pages say of the checks that the ledger wrote is true."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from klio_dagster.core.check import Evaluation
from klio_dagster.ledger import events
from tests.ledger.catalogue import CHECK, TRACKS, failed, new_run, recording
from tests.ledger.graphql import Page
from tests.ledger.test_storages import check_planned


def loud(*, passed: bool = True, severity: str = "blocking", **fields) -> Evaluation:
    return Evaluation(check=CHECK, passed=passed, severity=severity, **fields)


@pytest.fixture
def page(instance, tmp_path):
    instance.add_dynamic_partitions(TRACKS.name, ["a", "b", "c"])
    return Page(instance, tmp_path)


def test_each_partition_shows_whether_its_check_passed(ledger, page):
    ledger.record(new_run(), [recording("a", checks=[loud()])])
    flagged = loud(passed=False, severity="warn", description="too quiet", metadata={"dbfs": -70.5})
    ledger.record(new_run(), [recording("b", checks=[flagged])])

    statuses, executions = page.check("recording", CHECK)

    assert statuses == {"succeededPartitions": ["a"], "failedPartitions": ["b"]}
    assert [e["partition"] for e in executions] == ["b", "a"]
    shown = executions[0]["evaluation"]
    assert (shown["success"], shown["severity"]) == (False, "WARN")
    assert shown["description"] == "too quiet"
    assert [(m["label"], m["floatValue"]) for m in shown["metadataEntries"]] == [("dbfs", -70.5)]


def test_the_check_of_a_refused_output_is_shown_failed(ledger, page):
    refused = failed("a", checks=[loud(passed=False, description="silence")])
    ledger.record(new_run(), [refused])

    statuses, executions = page.check("recording", CHECK)

    assert statuses == {"succeededPartitions": [], "failedPartitions": ["a"]}
    assert executions[0]["evaluation"]["severity"] == "ERROR"


def test_a_refused_output_is_shown_failed_where_an_older_one_is_stored(ledger, page):
    ledger.record(new_run(), [recording("a", checks=[loud()])])
    ledger.record(new_run(), [failed("a", at=5, checks=[loud(passed=False)])])

    statuses, _ = page.check("recording", CHECK)

    assert statuses == {"succeededPartitions": [], "failedPartitions": ["a"]}


def test_a_check_that_failed_is_good_again_once_its_output_passes(ledger, page):
    ledger.record(new_run(), [failed("a", checks=[loud(passed=False)])])
    ledger.record(new_run(), [recording("a", at=5, checks=[loud()])])

    statuses, _ = page.check("recording", CHECK)

    assert statuses == {"succeededPartitions": ["a"], "failedPartitions": []}


def test_what_is_recorded_twice_in_a_run_is_one_execution(ledger, page):
    run = new_run()
    ledger.record(run, [recording("a", checks=[loud(passed=False)])])
    ledger.record(run, [recording("a", at=5, checks=[loud()])])

    statuses, executions = page.check("recording", CHECK)

    assert statuses == {"succeededPartitions": ["a"], "failedPartitions": []}
    assert len(executions) == 1


def test_what_a_run_skips_keeps_what_its_checks_found(ledger, instance, page):
    quiet = loud(passed=False, severity="warn", description="too quiet", metadata={"dbfs": -70.5})
    ledger.record(new_run(), [recording("a", checks=[loud()]), recording("b", checks=[quiet])])
    ledger.record(new_run(), [recording("b", at=5, checks=[quiet])])
    before, shown = page.check("recording", CHECK)
    known = [
        record.storage_id for record in ledger.records(["recording"], None)["recording"].values()
    ]
    again = new_run()
    storage = instance.event_log_storage
    storage.store_event(check_planned(again, dg.AssetKey("recording"), CHECK, "ab"))

    ledger.record_again(again, {"recording": known})

    after, executions = page.check("recording", CHECK)
    assert before == after == {"succeededPartitions": ["a"], "failedPartitions": ["b"]}
    latest = {e["partition"]: e for e in reversed(executions)}
    assert latest == {e["partition"]: e for e in reversed(shown)}
    key = dg.AssetCheckKey(dg.AssetKey("recording"), CHECK)
    for info in storage.get_asset_check_partition_info([key]):
        assert info.latest_planned_run_id == again.run_id
        assert (
            info.latest_target_materialization_storage_id == info.latest_materialization_storage_id
        )


def test_a_copy_has_no_check_that_its_output_was_not_looked_at_for(ledger, page):
    ledger.record(new_run(), [recording("a", checks=[loud()])])
    ledger.record(new_run(), [recording("a", at=5)])
    known = [ledger.records(["recording"], None)["recording"]["a"].storage_id]

    ledger.record_again(new_run(), {"recording": known})

    statuses, executions = page.check("recording", CHECK)
    assert statuses == {"succeededPartitions": [], "failedPartitions": []}
    assert len(executions) == 1


def test_evaluations_on_disk_are_what_dagster_writes_itself(instance, tmp_path):
    """One event through Dagster's own way, one through ours: the same columns are filled."""
    from tests.ledger.catalogue import LEDGERS

    LEDGERS["batched"](instance).record(new_run(), [recording("a", checks=[loud()])])
    LEDGERS["public"](instance).record(new_run(), [recording("b", checks=[loud()])])

    (index,) = Path(tmp_path).rglob("index.db")
    with closing(sqlite3.connect(index)) as connection:
        connection.row_factory = sqlite3.Row
        ours, theirs = (
            dict(row) for row in connection.execute("SELECT * FROM asset_check_executions")
        )
        logged = connection.execute(
            "SELECT asset_key, partition, step_key FROM event_logs"
            " WHERE dagster_event_type = 'ASSET_CHECK_EVALUATION'"
        ).fetchall()
    differ = {name for name in ours if ours[name] != theirs[name]}
    assert differ <= {
        "id", "run_id", "partition", "evaluation_event", "evaluation_event_storage_id",
        "materialization_event_storage_id", "create_timestamp", "evaluation_event_timestamp",
    }  # fmt: skip
    assert {tuple(row) for row in logged} == {(None, None, "track_audio")}
    bodies = [json.loads(row["evaluation_event"]) for row in (ours, theirs)]
    details = [body["dagster_event"]["event_specific_data"].keys() for body in bodies]
    assert details[0] == details[1]


def test_without_partitions_of_checks_each_is_evaluated_for_the_whole_asset(
    ledger, instance, monkeypatch
):
    monkeypatch.setattr(events, "CHECKS_HAVE_PARTITIONS", False)

    ledger.record(new_run(), [recording("a", checks=[loud(passed=False)])])

    (execution,) = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("recording"), CHECK), limit=10
    )
    assert execution.partition is None
    assert execution.evaluation.metadata["entity"].value == "a"


def test_flagged_are_those_that_did_not_pass_when_last_looked_at(ledger):
    quiet = loud(passed=False, severity="warn", description="too quiet")
    ledger.record(new_run(), [recording("a", checks=[quiet]), recording("b", checks=[quiet])])
    ledger.record(new_run(), [recording("c", checks=[loud()])])
    ledger.record(new_run(), [recording("b", at=5, checks=[loud()])])
    ledger.record(new_run(), [recording("c", at=5, checks=[quiet])])

    every = ledger.flagged("recording", [CHECK], None)

    said = [("recording", entity, CHECK, "too quiet") for entity in "ac"]
    assert sorted(every) == said
    assert ledger.flagged("recording", [CHECK], ["b", "c"]) == said[1:]
    assert ledger.flagged("recording", ["another"], None) == []
    assert ledger.flagged("audio/mel", [CHECK], None) == []
