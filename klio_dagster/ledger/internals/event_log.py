"""The event log: batches written and read, which the public API has for single events only."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from functools import partial, reduce
from operator import getitem
from typing import Any, NamedTuple, Protocol, cast

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import deserialize_value
from sqlalchemy import Executable, Select, Subquery, select

from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.internals.batch import EVENTS, is_migrated
from klio_dagster.ledger.internals.batch import Make as MakeEntry
from klio_dagster.ledger.internals.failures import clear_errors
from klio_dagster.ledger.internals.sqlite import SqliteLog
from klio_dagster.ledger.internals.sqlite import Storage as SqliteStorage

_INFO = 20
_BODY = ("dagster_event", "event_specific_data")  # where a stored event keeps what it is about
_ABOUT = {
    "ASSET_MATERIALIZATION": (*_BODY, "materialization"),
    "ASSET_OBSERVATION": (*_BODY, "asset_observation"),
}


class Planned(NamedTuple):
    """An output that a run set out to make; shown as failed when that run fails without it."""

    asset_key: dg.AssetKey
    partition: str


AssetEvent = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation | Planned
Make = Callable[[int], AssetEvent]
"""An event, made once its storage id is known."""


class Row(NamedTuple):
    """A stored event: what the ledger's reader needs of it."""

    partition: str
    storage_id: int
    timestamp: float
    run_id: str
    part: Any
    """What was asked for of the event, as JSON values."""


class Log(Protocol):
    """An event log that takes batches: `SqliteLog`, `PostgresLog`."""

    def store(self, run_id: str, makers: Sequence[MakeEntry]) -> None:
        """Write events of one run, all or none."""
        ...

    def store_entries(self, entries: Sequence[dg.EventLogEntry]) -> None:
        """Write events that Dagster made."""
        ...

    def rows(self, query: Executable) -> Iterator[Sequence[Any]]:
        """What a query of the index finds."""
        ...

    def each_of(self, values: Sequence[str]) -> Select[tuple[str]]:
        """For `IN`: bound as one value."""
        ...

    def parts(self, newest: Subquery, path: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Partition, id, timestamp, and a part of each event with its run id, as a JSON list."""
        ...


def batches(instance: dg.DagsterInstance) -> bool:
    """Whether the functions below can work on this instance's event log."""
    storage = instance.event_log_storage
    return log_of(storage) is not None and is_migrated(cast("SqlEventLogStorage", storage))


def log_of(storage: object) -> Log | None:
    """The storage as a log that takes batches; None where it is of another kind."""
    if isinstance(storage, SqliteStorage):
        return SqliteLog(storage)
    # An extra: not there, or not loaded, unless the instance's storage is one of its.
    if "dagster_postgres" in sys.modules:
        from klio_dagster.ledger.internals import postgres

        if isinstance(storage, postgres.Storage):
            return postgres.PostgresLog(storage)
    return None


def store_events(
    instance: dg.DagsterInstance,
    run: RunIdentity,
    makers: Sequence[tuple[float, Make]],
) -> None:
    """Store events in one transaction.

    Private because the public way is four transactions an event (7.7 ms on SQLite).

    Args:
        instance: whose event log takes batches.
        run: the events' run.
        makers: when each event happened (seconds since the epoch), and the event.

    Raises:
        LedgerError: the event log cannot be written.
    """
    with clear_errors():
        entries = [partial(_entry, run, timestamp, make) for timestamp, make in makers]
        _log(instance).store(run.run_id, entries)


def dagster_event(run: RunIdentity, about: AssetEvent) -> dg.DagsterEvent:
    """What is stored of an asset event, also by `instance.report_dagster_event`.

    Private because Dagster makes these in its own steps only: the data's classes have no public
    name.
    """
    match about:
        case dg.AssetMaterialization():
            kind, data = DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(about)
        case dg.AssetObservation():
            kind, data = DagsterEventType.ASSET_OBSERVATION, AssetObservationData(about)
        case dg.AssetCheckEvaluation():
            kind, data = DagsterEventType.ASSET_CHECK_EVALUATION, about
        case Planned():
            kind = DagsterEventType.ASSET_MATERIALIZATION_PLANNED
            data = AssetMaterializationPlannedData(about.asset_key, about.partition)
    return dg.DagsterEvent(
        event_type_value=kind.value,
        job_name=run.job_name,
        step_key=run.step_key,
        event_specific_data=data,
        message=_message(about),
    )


def _message(about: AssetEvent) -> str:
    of = f"{about.asset_key.to_user_string()} of {about.partition}"
    if isinstance(about, dg.AssetCheckEvaluation):
        verdict = "passed" if about.passed else "failed"
        said = f": {about.description}" if about.description else ""
        return f"check {about.check_name} {verdict} for {of}{said}"
    return getattr(about, "description", None) or of


def newest_events(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    kind: str,
    partitions: Sequence[str] | None,
    part: str = "tags",
    tag: str = "",
) -> Iterator[Row]:
    """The newest event of a kind of each partition of an asset, wiped ones left out.

    Private because the public ways read one partition at a time, or the tags only that Dagster
    indexes, which is the data version. Use up the iterator before the next call: on SQLite it holds
    the lock of Dagster's storage.

    Args:
        instance: whose event log takes batches.
        key: of the asset.
        kind: `ASSET_MATERIALIZATION` or `ASSET_OBSERVATION`.
        partitions: the ones asked for; all when None.
        part: of the stored event: `tags`, `description` or `metadata_entries`.
        tag: only events with it count; others do not hide them.

    Raises:
        LedgerError: the event log cannot be read.
    """
    log = _log(instance)
    path = (*_ABOUT[kind], part)
    with clear_errors():
        newest = cast(
            "SqlEventLogStorage", instance.event_log_storage
        )._latest_event_ids_by_partition_subquery(
            key,
            [DagsterEventType(kind)],
            # Handed on to `IN`, which also takes a query.
            asset_partitions=None if partitions is None else cast("Any", log.each_of(partitions)),
        )
        if tag:  # Dagster's index of tags leaves out all but the data version
            has_tag = EVENTS.c.event.contains(json.dumps(tag), autoescape=True)
            newest = cast("Select[Any]", newest.element).where(has_tag).subquery(newest.name)
        # Only a part of a body of some kilobytes is wanted, so the database takes it out.
        for partition, storage_id, timestamp, found in log.parts(newest, path):
            value = json.loads(found)
            if isinstance(value, dict):
                value = [reduce(getitem, path, value), value["run_id"]]
            # The columns hold UTC without saying so.
            when = timestamp.replace(tzinfo=UTC).timestamp()
            yield Row(partition, storage_id, when, value[1], value[0])


def data_versions(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str]
) -> Iterator[tuple[str, int, str]]:
    """Partition, storage id and data version of each event that has one, oldest first.

    Private because the public way reads one partition at a time.

    Args:
        instance: whose event log takes batches.
        key: of the asset.
        partitions: the ones asked for.

    Raises:
        LedgerError: the event log cannot be read.
    """
    log, tags = _log(instance), AssetEventTagsTable
    query = (
        select(EVENTS.c.partition, EVENTS.c.id, tags.c.value)
        .join(tags, tags.c.event_id == EVENTS.c.id)
        .where(
            EVENTS.c.asset_key == key.to_string(),
            EVENTS.c.dagster_event_type.in_(list(_ABOUT)),
            EVENTS.c.partition.in_(log.each_of(partitions)),
            tags.c.key == "dagster/data_version",
        )
        .order_by(EVENTS.c.id)
    )
    with clear_errors():
        yield from ((row[0], row[1], row[2]) for row in log.rows(query))


def names_of_checks(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[str]:
    """The checks that an asset has rows of; none where the event log takes no batches.

    Private because the public ways ask for checks by name.

    Raises:
        LedgerError: the event log cannot be read.
    """
    log, checks = log_of(instance.event_log_storage), AssetCheckExecutionsTable
    if log is None:
        return []
    query = select(checks.c.check_name).where(checks.c.asset_key == key.to_string()).distinct()
    with clear_errors():
        return sorted(row[0] for row in log.rows(query))


def evaluations_of(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    checks: Sequence[str],
    storage_ids: Sequence[int],
) -> dict[int, list[dg.AssetCheckEvaluation]]:
    """Storage id of a materialisation to the newest evaluation of each check that points to it.

    Private because the public way reads one check of one partition at a time.

    Args:
        instance: whose event log takes batches.
        key: of the asset.
        checks: their names, without which the table's index is of no use.
        storage_ids: of the materialisations, no more than a query takes values.

    Raises:
        LedgerError: the event log cannot be read.
    """
    if not checks:
        return {}
    table = AssetCheckExecutionsTable
    about = table.c.materialization_event_storage_id
    query = (
        select(about, table.c.check_name, table.c.evaluation_event)
        .where(
            table.c.asset_key == key.to_string(),
            table.c.check_name.in_(list(checks)),
            about.in_(list(storage_ids)),
        )
        .order_by(table.c.evaluation_event_storage_id)
    )
    with clear_errors():
        newest = {(row[0], row[1]): row[2] for row in _log(instance).rows(query)}
    found: dict[int, list[dg.AssetCheckEvaluation]] = {}
    for (storage_id, _), event in newest.items():
        data = deserialize_value(event, dg.EventLogEntry).get_dagster_event().event_specific_data
        found.setdefault(storage_id, []).append(cast("dg.AssetCheckEvaluation", data))
    return found


def _entry(run: RunIdentity, timestamp: float, make: Make, storage_id: int) -> dg.EventLogEntry:
    return dg.EventLogEntry(
        error_info=None,
        level=_INFO,
        user_message="",
        run_id=run.run_id,
        timestamp=timestamp,
        step_key=run.step_key,
        job_name=run.job_name,
        dagster_event=dagster_event(run, make(storage_id)),
    )


def _log(instance: dg.DagsterInstance) -> Log:
    log = log_of(instance.event_log_storage)
    assert log is not None, "callers ask `batches` first"
    return log
