"""How Dagster's storage is, and who works on it: asked by `klio doctor`, nothing is written."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, cast

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.schedules.schema import InstigatorsTable
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from sqlalchemy import Table, false, insert, select
from sqlalchemy.engine import Connection

from klio_dagster.ledger.internals.failures import clear_errors

_WAIT_FOR_LOCK_MS = 3_000
_LATER = "then call again"
_RUNNING = frozenset({"RUNNING", "DECLARED_IN_CODE"})


class Kind(NamedTuple):
    """What keeps Dagster's events.

    Args:
        database: `SQLite`, `PostgreSQL`, or the storage's class.
        is_on_disk: its files lie in DAGSTER_HOME, or where that says.
        storage: name of the storage's class.
    """

    database: str
    is_on_disk: bool
    storage: str


class Part(NamedTuple):
    """A part of Dagster's storage: events, runs, or schedules and sensors.

    Args:
        name: for people.
        revision: of the schema that the database has; None where nobody numbers them.
        head: of the one that this Dagster wants.
    """

    name: str
    revision: str | None
    head: str | None


class Heartbeat(NamedTuple):
    """A daemon's last sign of life.

    Args:
        age_s: seconds since then, by the clocks of both machines.
        error: what went wrong last; empty if nothing did.
    """

    age_s: float
    error: str


def kind_of(instance: dg.DagsterInstance) -> Kind:
    """What keeps the events.

    Private because publicly a storage has no kind, and SQLite's has no public name.
    """
    storage = instance.event_log_storage
    name = type(storage).__name__
    if isinstance(storage, SqliteEventLogStorage):
        return Kind("SQLite", True, name)
    of_postgres = any(each.__name__ == "PostgresEventLogStorage" for each in type(storage).__mro__)
    return Kind("PostgreSQL" if of_postgres else name, False, name)


def round_trip_s(instance: dg.DagsterInstance) -> float:
    """Seconds until the event log answers the smallest question.

    Private because publicly every question costs what its answer does.

    Raises:
        LedgerError: it did not answer.
    """
    connected = next(connect for _, _, connect in _parts(instance))
    started = time.perf_counter()
    with clear_errors(_LATER), connected() as connection:
        connection.execute(select(1)).all()
    return time.perf_counter() - started


def schemas(instance: dg.DagsterInstance) -> list[Part]:
    """Whether each part of the storage has the schema that this Dagster wants.

    Private because publicly an instance only migrates, and does not say whether it has to.

    Raises:
        LedgerError: it did not answer.
    """
    with clear_errors(_LATER):
        return [Part(name, *_revisions(storage)) for name, storage in _storages(instance)]


def check_writable(instance: dg.DagsterInstance) -> None:
    """Insert no row into each part of the storage, which needs the right to insert one.

    Private because publicly one cannot write without leaving something.

    Raises:
        LedgerError: it is read only, locked, not permitted, or does not answer.
    """
    for _, table, connect in _parts(instance):
        columns = [table.c[column.name] for column in table.columns if not column.primary_key]
        nothing = insert(table).from_select(columns, select(*columns).where(false()))
        with clear_errors(_LATER), connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {_WAIT_FOR_LOCK_MS}")
            connection.execute(nothing)


def heartbeats(instance: dg.DagsterInstance) -> Mapping[str, Heartbeat]:
    """Each kind of daemon that ever ran, to its last sign of life.

    Private because what an instance returns has no public name.

    Raises:
        LedgerError: the storage did not answer.
    """
    with clear_errors(_LATER):
        found = instance.get_daemon_heartbeats()
    return {
        kind: Heartbeat(time.time() - beat.timestamp, _error_of(cast("Any", beat)))
        for kind, beat in found.items()
    }


def has_run_queue(instance: dg.DagsterInstance) -> bool:
    """Whether runs wait in a queue for the daemon."""
    return isinstance(instance.run_coordinator, QueuedRunCoordinator)


def switched_on(
    instance: dg.DagsterInstance,
    definitions: Iterable[dg.SensorDefinition | dg.ScheduleDefinition],
) -> frozenset[str]:
    """Names of those that Dagster's daemon is to tick.

    Private because the states that an instance returns have no public name. One of another code
    location with the same name counts as this one.

    Raises:
        LedgerError: the storage did not answer.
    """
    with clear_errors(_LATER):
        states = cast("Any", instance).all_instigator_state()
    said = {
        (each.instigator_type.value, each.instigator_name): each.status.value for each in states
    }
    return frozenset(
        each.name
        for each in definitions
        if said.get((_kind(each), each.name), each.default_status.value) in _RUNNING
    )


def _kind(definition: dg.SensorDefinition | dg.ScheduleDefinition) -> str:
    return "SENSOR" if isinstance(definition, dg.SensorDefinition) else "SCHEDULE"


def _error_of(beat: Any) -> str:  # noqa: ANN401 - Dagster's, without a public name
    errors = beat.errors or ()
    return " ".join(errors[0].message.split()) if errors else ""


_Connect = Callable[[], AbstractContextManager[Connection]]


def _storages(instance: dg.DagsterInstance) -> Iterator[tuple[str, object]]:
    yield "events", instance.event_log_storage
    yield "runs", instance.run_storage
    yield "schedules and sensors", instance.schedule_storage


def _parts(instance: dg.DagsterInstance) -> Iterator[tuple[str, Table, _Connect]]:
    """The parts of the storage that are kept in a database, with the table each cannot do without.

    Args:
        instance: Dagster's.
    """
    for name, storage in _storages(instance):
        match storage:
            case SqlEventLogStorage():
                yield name, SqlEventLogStorageTable, storage.index_connection
            case SqlRunStorage():
                yield name, RunsTable, storage.connect
            case SqlScheduleStorage():
                yield name, InstigatorsTable, storage.connect
            case _:
                continue


def _revisions(storage: object) -> tuple[str | None, str | None]:
    ask = getattr(storage, "alembic_version", None)
    return (ask() if ask else None) or (None, None)
