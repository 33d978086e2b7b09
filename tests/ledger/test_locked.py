"""An event log that another process keeps locked, or whose server is gone for a while."""

import sqlite3
import threading
from contextlib import closing, contextmanager

import dagster as dg
import psycopg2
import pytest
from sqlalchemy import event as on
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from klio_dagster.errors import LedgerError
from klio_dagster.ledger.internals import postgres, removal, sqlite, tags
from tests.ledger.catalogue import LEDGERS, mel, new_run, recording
from tests.ledger.storages import SQLITE

RECORDING = dg.AssetKey("recording")


@pytest.fixture
def batched(instance):
    return LEDGERS["batched"](instance)


@pytest.fixture
def server(postgres_server):
    """The server, running again afterwards for the other tests."""
    yield postgres_server
    postgres_server.start()


@contextmanager
def locked(file):
    """Another connection writes to a SQLite file."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.rollback()


@contextmanager
def later(seconds, do):
    """Does something while the block is at work."""
    timer = threading.Timer(seconds, do)
    timer.start()
    yield
    timer.join()


def stored(instance, run):
    """Partitions in the ledger, and on the run's page, as often as they stand there."""
    key = ["recording"]
    return (
        sorted(LEDGERS["batched"](instance).records(key, None)["recording"]),
        [line.dagster_event.partition for line in instance.all_logs(run.run_id)],
    )


sqlite_only = pytest.mark.parametrize("kind", SQLITE)
postgres_only = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.postgres) for kind in ("postgres", "klio-postgres")],
)


@sqlite_only
@pytest.mark.parametrize("which", ["index", "run"])
def test_a_file_that_stays_locked_is_one_line_and_nothing_is_half_written(
    instance, batched, tmp_path, monkeypatch, which
):
    monkeypatch.setattr(sqlite, "_WAIT_FOR_LOCK_MS", 200)
    run = new_run()
    batched.record(run, [recording("a")])
    file = tmp_path / "history" / "runs" / f"{'index' if which == 'index' else run.run_id}.db"

    with locked(file), pytest.raises(LedgerError, match="kept Dagster's event log locked") as told:
        batched.record(run, [recording("b"), recording("c")])
    between = stored(instance, run)
    batched.record(run, [recording("b"), recording("c")])

    assert "\n" not in str(told.value)
    assert between == (["a"], ["a"])
    assert stored(instance, run) == (["a", "b", "c"], ["a", "b", "c"])


@sqlite_only
def test_the_file_of_a_run_that_is_locked_for_a_while_is_waited_for(instance, batched, tmp_path):
    run = new_run()
    batched.record(run, [recording("a")])
    other = sqlite3.connect(
        tmp_path / "history" / "runs" / f"{run.run_id}.db",
        isolation_level=None,
        check_same_thread=False,
    )
    other.execute("BEGIN IMMEDIATE")

    with later(0.5, other.rollback):
        batched.record(run, [recording("b")])

    other.close()
    assert stored(instance, run) == (["a", "b"], ["a", "b"])


@postgres_only
def test_a_server_that_is_restarted_is_waited_for(instance, batched, server):
    run = new_run()
    batched.record(run, [recording("a")])
    server.stop()

    with later(1, server.start):
        batched.record(run, [recording("b")])
        read = stored(instance, run)

    assert read == (["a", "b"], ["a", "b"])


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgres"])
@pytest.mark.parametrize("statement", range(1, 10), ids="statement-{}".format)
def test_a_connection_lost_at_any_statement_leaves_every_event_once(
    instance, batched, server, url, statement
):
    run = new_run()
    batched.record(run, [recording("a"), mel("a")])
    seen = []

    def lose(connection, *rest):
        seen.append(None)
        if len(seen) == statement:
            mine = connection.connection.dbapi_connection.info.backend_pid
            server.ask(f"select pg_terminate_backend({mine}, 5000)", url)

    with listening("before_cursor_execute", lose):
        batched.record(run, [recording("b"), mel("b", made_from="r1")])

    made = "select partition, count(*) from event_logs group by partition order by 1"
    assert len(seen) > statement
    assert server.ask(made, url) == [("a", 2), ("b", 2)]
    assert server.ask("select count(*) from asset_event_tags", url) == [(4,)]


@postgres_only
def test_a_batch_whose_commit_was_not_heard_of_is_not_written_again(instance, batched, monkeypatch):
    storage = instance.event_log_storage
    transaction = storage.index_transaction
    commits = []

    @contextmanager
    def unheard():
        with transaction() as connection:
            yield connection
        commits.append(None)
        if len(commits) == 1:
            lost = psycopg2.OperationalError("server closed the connection unexpectedly")
            raise OperationalError("COMMIT", {}, lost, connection_invalidated=True)

    monkeypatch.setattr(storage, "index_transaction", unheard)
    run = new_run()
    batched.record(run, [recording("a"), recording("b")])

    assert len(commits) == 2
    assert stored(instance, run) == (["a", "b"], ["a", "b"])


@postgres_only
def test_a_server_that_does_not_come_back_is_one_line(instance, batched, server, monkeypatch):
    monkeypatch.setattr(postgres, "_GIVE_UP_AFTER_S", 1)
    batched.record(new_run(), [recording("a")])
    server.stop()

    with pytest.raises(LedgerError, match=r"did not work: .*; see that .* answers") as told:
        batched.record(new_run(), [recording("b")])

    assert "\n" not in str(told.value)


@postgres_only
@pytest.mark.parametrize(
    "ask",
    [
        lambda instance: tags.newest_tags(instance, RECORDING, {}),
        lambda instance: removal.events_of(instance, [RECORDING], ["a"]),
        lambda instance: removal.forget(instance, [RECORDING], ["a"]),
        lambda instance: removal.forget_partitions(instance, "tracks", ["a"]),
    ],
    ids=["tags", "events", "forget", "partitions"],
)
def test_counting_and_forgetting_without_a_server_is_one_line(instance, batched, server, ask):
    batched.record(new_run(), [recording("a")])
    server.stop()

    with pytest.raises(LedgerError, match=r"did not work: .*; see that .* answers") as told:
        ask(instance)

    assert "\n" not in str(told.value)


@postgres_only
def test_a_process_that_stands_still_while_it_writes_stops_others_for_a_while_only(
    instance, batched, server, url, monkeypatch
):
    monkeypatch.setattr(postgres, "_SETTINGS", "SET LOCAL lock_timeout = '200ms'")
    with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as other:
        other.cursor().execute(f"select pg_advisory_xact_lock({postgres._LOCK})")

        with pytest.raises(LedgerError, match="kept Dagster's event log locked"):
            batched.record(new_run(), [recording("a")])
    run = new_run()
    batched.record(run, [recording("a")])

    assert stored(instance, run) == (["a"], ["a"])


@postgres_only
def test_the_server_ends_a_writer_that_stands_still_before_others_give_up(instance, url):
    with instance.event_log_storage.index_transaction() as connection:
        connection.exec_driver_sql(postgres._SETTINGS)
        asked = (
            "select current_setting('idle_in_transaction_session_timeout')::interval"
            " < current_setting('lock_timeout')::interval"
        )

        assert connection.exec_driver_sql(asked).scalar() is True


@contextmanager
def listening(name, take):
    on.listen(Engine, name, take)
    yield
    on.remove(Engine, name, take)
