"""Batches are whole, also when something else happens at the same time."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from klio_dagster.errors import LedgerError
from klio_dagster.ledger import write
from tests.ledger.catalogue import LEDGERS, failed, mel, new_run, recording

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def batched(instance):
    return LEDGERS["batched"](instance)


def index(folder) -> Path:
    return next(Path(folder).rglob("index.db"))


def rows(folder, query):
    with closing(sqlite3.connect(index(folder))) as connection:
        return connection.execute(query).fetchall()


def test_every_asset_of_a_batch_has_its_own_newest_event(batched, instance):
    batched.record(new_run(), [recording("a"), mel("a"), recording("b"), mel("b"), failed("c")])

    keys = [dg.AssetKey("recording"), dg.AssetKey(["audio", "mel"])]
    newest = instance.get_latest_materialization_events(keys)
    assert set(instance.all_asset_keys()) == set(keys)
    assert [newest[key].asset_materialization.partition for key in keys] == ["b", "b"]


def test_dagster_reads_the_statistics_and_lines_of_a_batch_as_its_own(batched, instance):
    run = new_run()
    batched.record(run, [recording("a"), mel("a"), failed("b")])

    lines = instance.all_logs(run.run_id)
    assert [line.dagster_event.event_type_value for line in lines] == [
        "ASSET_MATERIALIZATION",
        "ASSET_MATERIALIZATION",
        "ASSET_OBSERVATION",
    ]
    assert instance.get_materialized_partitions(dg.AssetKey("recording")) == {"a"}


def test_events_dagster_writes_afterwards_are_newer(batched, instance):
    batched.record(new_run(), [recording("a")])
    instance.report_runless_asset_event(
        dg.AssetMaterialization("recording", partition="a", tags={"dagster/data_version": "r9"})
    )
    batched.record(new_run(), [mel("a", made_from="r9")])

    assert batched.records(["recording"], None)["recording"]["a"].data_version == "r9"


def test_more_receipts_than_one_transaction_takes_keep_their_lineage(batched, instance, tmp_path):
    many = write.AT_ONCE + 10
    receipts = [recording(f"track {n}", at=n / 1e3) for n in range(many)]
    receipts += [mel(f"track {n}", at=many + n / 1e3) for n in range(many)]

    batched.record(new_run(), receipts)

    records = batched.records(["recording", "audio/mel"], None)
    for entity in (f"track {n}" for n in (0, many - 1)):
        made = instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey(["audio", "mel"]), asset_partitions=[entity]), limit=1
        ).records[0]
        pointer = made.asset_materialization.tags["dagster/input_event_pointer/recording"]
        assert pointer == str(records["recording"][entity].storage_id)
    assert len(records["recording"]) == len(records["audio/mel"]) == many


def test_more_entities_may_be_asked_for_than_sqlite_binds_values(batched):
    batched.record(new_run(), [recording("track 3"), recording("track 39999")])

    asked = [f"track {n}" for n in range(40_000)]
    assert len(batched.records(["recording"], asked)["recording"]) == 2


@pytest.mark.kill
@pytest.mark.parametrize("statement", [1, 2, 3, 4, 5, 6, 7, 8, 9], ids="statement-{}".format)
def test_a_kill_at_any_statement_leaves_no_event_without_its_tags(tmp_path, statement):
    done = subprocess.run(
        [sys.executable, "-m", "tests.ledger.dies", str(tmp_path), str(statement)],
        cwd=ROOT,
        check=False,
    )

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        records = LEDGERS["batched"](instance).records(["recording", "audio/mel"], None)
    tagged = rows(tmp_path, "select count(*) from asset_event_tags")[0][0]
    assert done.returncode == -9
    assert set(records["recording"]) == set(records["audio/mel"])
    assert set(records["recording"]) in ({"first"}, {"first", "second"})
    assert tagged == 2 * len(records["recording"])


def test_the_op_may_log_while_a_thread_records(batched, instance):
    with ThreadPoolExecutor(1) as background:
        recording_all = [
            background.submit(batched.record, new_run(), [recording(f"track {n}")])
            for n in range(20)
        ]
        for n in range(20):
            instance.report_runless_asset_event(
                dg.AssetObservation("source", partition=f"track {n}", tags={})
            )
            batched.records(["recording"], None)
        for each in recording_all:
            each.result()

    assert len(batched.records(["recording"], None)["recording"]) == 20
    assert len(batched.observed_sources("source", None)) == 20


def test_two_processes_may_record_at_the_same_time(instance, tmp_path):
    def record(name):
        with dg.DagsterInstance.local_temp(str(tmp_path)) as own:
            ledger = LEDGERS["batched"](own)
            for n in range(10):
                ledger.record(new_run(), [recording(f"{name} {n}-{m}") for m in range(10)])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(record, ["one", "two"]))

    records = LEDGERS["batched"](instance).records(["recording"], None)["recording"]
    assert len(records) == len({record.storage_id for record in records.values()}) == 200


def test_a_locked_event_log_is_waited_for(batched, tmp_path):
    batched.record(new_run(), [recording("a")])
    other = sqlite3.connect(index(tmp_path), check_same_thread=False, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    unlock = threading.Timer(0.5, other.rollback)
    unlock.start()

    batched.record(new_run(), [recording("b")])

    unlock.join()
    other.close()
    assert set(batched.records(["recording"], None)["recording"]) == {"a", "b"}


def test_an_event_log_that_does_not_work_is_one_clear_line(batched, tmp_path):
    batched.record(new_run(), [recording("a")])
    with closing(sqlite3.connect(index(tmp_path))) as connection:
        connection.execute("drop table asset_event_tags")

    with pytest.raises(LedgerError, match="event log did not work") as writing:
        batched.record(new_run(), [recording("b")])

    assert "\n" not in str(writing.value)
    assert set(batched.records(["recording"], None)["recording"]) == {"a"}


def test_planned_failures_are_events_of_their_own(batched, tmp_path):
    batched.mark_failed(new_run(), [("recording", "a"), ("audio/mel", "a")])

    planned = rows(
        tmp_path,
        "select asset_key, partition from event_logs"
        " where dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'",
    )
    assert planned == [('["recording"]', "a"), ('["audio", "mel"]', "a")]
