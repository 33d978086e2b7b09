"""Our storages write what Dagster's write, only in one transaction; and Dagster reads them."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEventType,
    EngineEventData,
    StepMaterializationData,
)
from sqlalchemy import event as on
from sqlalchemy.engine import Engine

from tests.ledger.catalogue import TRACKS, new_run
from tests.ledger.graphql import Page
from tests.ledger.storages import OURS, SQLITE, STOCK, opened, settings, tables

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions")
WHEN = 1_790_000_000.25
RECORDING, MEL = dg.AssetKey("recording"), dg.AssetKey(["audio", "mel"])
VERSION = {"dagster/data_version": "v1", "not/indexed": "x"}


def entry(run, kind=None, data=None, *, step_key="track_audio", at=WHEN, run_id=None):
    event = kind and dg.DagsterEvent(
        kind.value, "catalogue", step_key=step_key, event_specific_data=data, message="said"
    )
    return dg.EventLogEntry(
        error_info=None,
        level=20,
        user_message="" if event else "a line of a log",
        run_id=run.run_id if run_id is None else run_id,
        timestamp=at,
        step_key=step_key,
        job_name="catalogue",
        dagster_event=event,
    )


def planned(run, key, partition):
    data = AssetMaterializationPlannedData(key, partition)
    return entry(run, DagsterEventType.ASSET_MATERIALIZATION_PLANNED, data)


def made(run, key, partition=None, **more):
    event = dg.AssetMaterialization(key, partition=partition, tags=VERSION, metadata={"peak": 0.5})
    return entry(
        run, DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event), **more
    )


def observed(run, key, partition=None):
    data = AssetObservationData(dg.AssetObservation(key, partition=partition, tags=VERSION))
    return entry(run, DagsterEventType.ASSET_OBSERVATION, data)


def check_planned(run, key, name, partitions=None):
    subset = DefaultPartitionsSubset(set(partitions)) if partitions else None
    data = AssetCheckEvaluationPlanned(asset_key=key, check_name=name, partitions_subset=subset)
    return entry(run, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, data)


def checked(run, key, name, partition=None, *, passed=True, **more):
    target = AssetCheckEvaluationTargetMaterializationData(
        storage_id=3, run_id=run.run_id, timestamp=WHEN
    )
    data = dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=passed,
        partition=partition,
        target_materialization_data=target if passed else None,
    )
    return entry(run, DagsterEventType.ASSET_CHECK_EVALUATION, data, **more)


def said(run, kind, data=None):
    return entry(run, kind, data, step_key=None)


BATCHES = {
    "planned": lambda run: [planned(run, key, p) for p in "abc" for key in (RECORDING, MEL)],
    "made": lambda run: [made(run, MEL, "a"), made(run, RECORDING, "b"), made(run, MEL, "b")],
    "made-without-partition": lambda run: [made(run, RECORDING), made(run, RECORDING)],
    "observed": lambda run: [observed(run, RECORDING, "a"), observed(run, MEL, "a")],
    "everything-of-assets": lambda run: [
        planned(run, RECORDING, "a"),
        made(run, RECORDING, "a"),
        observed(run, MEL, "a"),
        made(run, MEL, "a"),
        planned(run, MEL, "b"),
    ],
    "checks-planned": lambda run: [
        check_planned(run, RECORDING, "loud", "ab"),
        check_planned(run, RECORDING, "long"),
    ],
    "checks-planned-and-evaluated": lambda run: [
        check_planned(run, RECORDING, "loud", "abc"),
        check_planned(run, MEL, "long"),
        checked(run, RECORDING, "loud", "b"),
        checked(run, MEL, "long", passed=False),
        checked(run, RECORDING, "loud", "c", passed=False),
    ],
    "checks-evaluated-unplanned": lambda run: [
        checked(run, RECORDING, "loud", "a"),
        checked(run, RECORDING, "loud"),
        checked(run, RECORDING, "loud", "a", passed=False),
        checked(run, RECORDING, "loud", passed=False),
    ],
    "checks-of-no-run": lambda run: [
        checked(run, RECORDING, "loud", run_id=""),
        checked(run, RECORDING, "loud", passed=False, run_id=""),
        checked(run, RECORDING, "loud", "a", run_id=""),
    ],
    "life-of-a-run": lambda run: [
        said(run, DagsterEventType.RUN_STARTING),
        said(run, DagsterEventType.RUN_START),
        said(run, DagsterEventType.ENGINE_EVENT, EngineEventData()),
        entry(run),
        entry(run, DagsterEventType.STEP_START),
        made(run, RECORDING, "a"),
        said(run, DagsterEventType.RUN_SUCCESS),
    ],
    "lines-only": lambda run: [
        entry(run),
        said(run, DagsterEventType.ENGINE_EVENT, EngineEventData()),
    ],
    "made-of-no-run": lambda run: [made(run, RECORDING, "a", run_id="")],
    "two-runs": lambda run: [made(run, RECORDING, "a"), made(new_run(), RECORDING, "b")],
    "nothing": lambda run: [],
}
ONE_OF_EACH = ("everything-of-assets", "checks-planned-and-evaluated", "life-of-a-run")


@pytest.fixture(params=OURS)
def kind(request):
    return request.param


@pytest.fixture
def server(kind, request):
    return None if kind in SQLITE else request.getfixturevalue("postgres_server")


@pytest.fixture
def stock(kind, server, tmp_path_factory, new_home, request):
    """Dagster's own storage of the same database: folder, URL and the instance."""
    folder = tmp_path_factory.mktemp("stock")
    shutil.copytree(new_home, folder, dirs_exist_ok=True)
    url = server.new_database(like=request.getfixturevalue("new_database")) if server else None
    with opened(STOCK[kind], folder, url) as instance:
        yield folder, url, instance


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("one_by_one", [False, True], ids=["batch", "single"])
def test_every_table_says_what_dagster_would_have_written(
    instance, stock, server, tmp_path, url, batch, one_by_one
):
    stock_folder, stock_url, stock_instance = stock
    run = new_run()
    events = BATCHES[batch](run)

    for event in events:
        stock_instance.event_log_storage.store_event(event)
    if one_by_one:
        for event in events:
            instance.event_log_storage.store_event(event)
    else:
        instance.event_log_storage.store_event_batch(events)

    ask = server and server.ask
    expected = tables(stock_folder, stock_url, TABLES, ask)
    assert tables(tmp_path, url, TABLES, ask) == expected
    assert any(expected.values()) == (batch != "nothing")


def test_a_batch_is_one_transaction(instance, kind):
    run = new_run()
    instance.event_log_storage.store_event_batch([made(run, RECORDING, "a")])  # makes its file
    events = [event for name in ONE_OF_EACH for event in BATCHES[name](run)]
    commits = []

    with listening(Engine, "commit", commits.append):
        instance.event_log_storage.store_event_batch(events)

    looks_for_the_file_of_the_run = kind in SQLITE
    assert len(events) == 17
    assert len(commits) == 1 + looks_for_the_file_of_the_run


def test_an_unmodified_dagster_shows_what_our_storage_wrote(instance, kind, tmp_path, url):
    instance.add_dynamic_partitions(TRACKS.name, ["a", "b", "c"])
    run = dg.DagsterRun(job_name="catalogue", run_id=new_run().run_id)
    instance.add_run(run)
    storage = instance.event_log_storage
    storage.store_event_batch([planned(run, RECORDING, p) for p in "abc"])
    storage.store_event_batch([made(run, RECORDING, "a"), made(run, MEL, "a")])
    instance.report_run_failed(run)

    with opened(STOCK[kind], tmp_path, url) as theirs:
        assert type(theirs.event_log_storage).__module__.partition(".")[0] != "klio_dagster"
        page = Page(theirs, tmp_path)
        statuses = page.asset("recording", "a")["assetPartitionStatuses"]
        lines = page.run(run.run_id)
        theirs.event_log_storage.store_event(made(run, RECORDING, "b"))
    assert sorted(statuses["materializedPartitions"]) == ["a"]
    assert sorted(statuses["failedPartitions"]) == ["b", "c"]
    assert [line["__typename"] for line in lines].count("MaterializationEvent") == 2
    assert instance.get_materialized_partitions(RECORDING) == {"a", "b"}


def test_a_database_our_storage_made_has_dagsters_schema(kind, server, stock, tmp_path):
    stock_folder, stock_url, _ = stock
    url = server.new_database() if server else None
    schema = {
        "sqlite": "select type, name, tbl_name, sql from sqlite_master order by name",
        "postgres": "select table_name, column_name, data_type, is_nullable"
        " from information_schema.columns where table_schema = 'public' order by 1, 2",
    }[STOCK[kind]]
    revision = "select version_num from alembic_version"

    with opened(kind, tmp_path, url) as instance:
        instance.all_asset_keys()

    for query in (schema, revision):
        ours = asked(query, tmp_path, url, server)
        assert ours == asked(query, stock_folder, stock_url, server) != []


def test_dagsters_migration_runs_over_our_storage(kind, url, instance, tmp_path):
    run = new_run()
    instance.event_log_storage.store_event_batch([made(run, RECORDING, "a")])
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings(kind, url)))

    done = subprocess.run(
        [sys.executable, "-m", "dagster", "instance", "migrate"],
        env={**os.environ, "DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert instance.get_materialized_partitions(RECORDING) == {"a"}


def test_a_database_that_was_never_migrated_is_written_as_dagster_writes_it(
    instance, kind, tmp_path, url, server
):
    asked("drop table asset_event_tags", tmp_path, url, server)

    instance.event_log_storage.store_event_batch([made(new_run(), RECORDING, "a")])

    assert instance.get_materialized_partitions(RECORDING) == {"a"}


@contextmanager
def listening(target, name, take):
    on.listen(target, name, take)
    yield
    on.remove(target, name, take)


def asked(query, folder, url, server):
    if server:
        return server.ask(query, url)
    with closing(sqlite3.connect(folder / "history" / "runs" / "index.db")) as connection:
        return connection.execute(query).fetchall()
