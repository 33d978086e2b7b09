"""The event log: batches written and read, which the public API has for single events only."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial, reduce
from operator import getitem
from typing import Any, NamedTuple, cast

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.storage.event_log.schema import (
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import Select, String, case, column, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from klio_dagster.errors import LedgerError
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.internals.check_log import execution_row, store_executions

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the columns hold UTC without saying so
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
    tags: Mapping[str, str] = {}


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


def batches(instance: dg.DagsterInstance) -> bool:
    """Whether the functions below can work on this instance's event log."""
    storage = _storage(instance)
    return (
        isinstance(storage, SqliteEventLogStorage)
        and storage.has_table(AssetEventTagsTable.name)  # not in a database never migrated
        and storage.has_asset_key_index_cols()
    )


def store_events(
    instance: dg.DagsterInstance,
    run: RunIdentity,
    makers: Sequence[tuple[float, Make]],
) -> None:
    """Store asset events in one transaction of the index and one of the run's log.

    Private because the public way is four transactions an event (7.7 ms on SQLite). The index,
    which is the ledger, is written first: a kill in between loses lines of the run's page only.

    Args:
        instance: with a SQLite event log.
        run: the events' run.
        makers: when each event happened (seconds since the epoch), and the event.

    Raises:
        LedgerError: the event log cannot be written.
    """
    storage = _storage(instance)
    log = SqlEventLogStorageTable
    rows: list[dict[str, Any]] = []
    tags: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    assets: dict[tuple[str, str], dict[str, Any]] = {}
    with _connected(storage.index_connection) as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # ids are given out under the lock
        first = (connection.execute(select(func.max(log.c.id))).scalar() or 0) + 1
        for number, (timestamp, make) in enumerate(makers, start=first):
            about = make(number)
            entry = dg.EventLogEntry(
                error_info=None,
                level=_INFO,
                user_message="",
                run_id=run.run_id,
                timestamp=timestamp,
                step_key=run.step_key,
                job_name=run.job_name,
                dagster_event=dagster_event(run, about),
            )
            row = _row(run, number, entry, about)
            rows.append(row)
            if isinstance(about, dg.AssetCheckEvaluation):
                checks.append(execution_row(number, entry, row["event"], about))
                continue
            tags += _tag_rows(storage, row, about.tags or {})
            # The last event of each kind is what the row of its asset tells.
            kind = (row["asset_key"], row["dagster_event_type"])
            assets.pop(kind, None)
            assets[kind] = {"event": entry, "event_id": number}
        connection.execute(log.insert(), rows)
        if tags:
            connection.execute(AssetEventTagsTable.insert(), tags)
        if checks:
            store_executions(connection, checks)
        for (key, _), last in assets.items():
            values = storage._get_asset_entry_values(**last, has_asset_key_index_cols=True)
            _upsert_asset(connection, key, values)
    for row in rows:
        del row["id"]  # the run's log counts its own
    with _connected(partial(storage.run_connection, run.run_id)) as connection:
        connection.execute(log.insert(), rows)


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
) -> Iterator[Row]:
    """The newest event of a kind of each partition of an asset, wiped ones left out.

    Private because the public ways read one partition at a time, or the tags only that Dagster
    indexes, which is the data version. Use up the iterator before the next call: it holds the lock
    of Dagster's storage.

    Args:
        instance: with a SQLite event log.
        key: of the asset.
        kind: `ASSET_MATERIALIZATION` or `ASSET_OBSERVATION`.
        partitions: the ones asked for; all when None.
        part: of the stored event: `tags`, `description` or `metadata_entries`.

    Raises:
        LedgerError: the event log cannot be read.
    """
    storage = _storage(instance)
    log = SqlEventLogStorageTable
    path = (*_ABOUT[kind], part)
    # Only a part of a body of some kilobytes is wanted, so SQLite takes it out, as [part, run]. It
    # does not know NaN, which Dagster stores in metadata: then the body comes as a whole.
    extracted = func.json_extract(log.c.event, "$." + ".".join(path), "$.run_id")
    wanted = case((func.json_valid(log.c.event), extracted), else_=log.c.event)
    newest = storage._latest_event_ids_by_partition_subquery(
        key,
        [DagsterEventType(kind)],
        # Handed on to `IN`, which also takes a query.
        asset_partitions=None if partitions is None else cast("Any", _each_of(partitions)),
    )
    query = select(log.c.partition, log.c.id, log.c.timestamp, wanted).join(
        newest, newest.c.id == log.c.id
    )
    with _connected(storage.index_connection) as connection:
        for partition, storage_id, timestamp, found in connection.execute(query):
            value = json.loads(found)
            if isinstance(value, dict):
                value = [reduce(getitem, path, value), value["run_id"]]
            when = (timestamp - _EPOCH).total_seconds()
            yield Row(partition, storage_id, when, value[1], value[0])


def data_versions(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str]
) -> Iterator[tuple[str, int, str]]:
    """Partition, storage id and data version of each event that has one, oldest first.

    Private because the public way reads one partition at a time.

    Args:
        instance: with a SQLite event log.
        key: of the asset.
        partitions: the ones asked for.

    Raises:
        LedgerError: the event log cannot be read.
    """
    log, tags = SqlEventLogStorageTable, AssetEventTagsTable
    query = (
        select(log.c.partition, log.c.id, tags.c.value)
        .join(tags, tags.c.event_id == log.c.id)
        .where(
            log.c.asset_key == key.to_string(),
            log.c.dagster_event_type.in_(list(_ABOUT)),
            log.c.partition.in_(_each_of(partitions)),
            tags.c.key == "dagster/data_version",
        )
        .order_by(log.c.id)
    )
    with _connected(_storage(instance).index_connection) as connection:
        yield from (tuple(row) for row in connection.execute(query))


def _storage(instance: dg.DagsterInstance) -> SqliteEventLogStorage:
    return cast("SqliteEventLogStorage", instance.event_log_storage)


@contextmanager
def _connected(connect: Callable[[], Any]) -> Iterator[Connection]:
    try:
        with connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise LedgerError(
            f"Dagster's event log did not work: {str(error).splitlines()[0]}",
            where="DAGSTER_HOME",
            fix="see that its disk has room and that no other process keeps it locked",
        ) from error


def _each_of(values: Sequence[str]) -> Select[tuple[str]]:
    """For `IN`: bound as one value, where SQLite takes 32,766 and SQLAlchemy renders each."""
    listed = func.json_each(json.dumps(list(values))).table_valued(column("value", String))
    return select(listed.c.value)


def _row(
    run: RunIdentity, number: int, entry: dg.EventLogEntry, about: AssetEvent
) -> dict[str, Any]:
    # Dagster keeps no key and no partition of a check's event in these columns.
    is_check = isinstance(about, dg.AssetCheckEvaluation)
    return {
        "id": number,
        "run_id": run.run_id,
        "event": dg.serialize_value(entry),
        "dagster_event_type": entry.get_dagster_event().event_type_value,
        "timestamp": datetime.fromtimestamp(entry.timestamp, UTC).replace(tzinfo=None),
        "step_key": run.step_key,
        "asset_key": None if is_check else about.asset_key.to_string(),
        "partition": None if is_check else about.partition,
    }


def _tag_rows(
    storage: SqliteEventLogStorage, row: Mapping[str, Any], tags: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for key in storage.get_asset_tags_to_index(set(tags)):
        yield {
            "event_id": row["id"],
            "asset_key": row["asset_key"],
            "key": key,
            "value": tags[key],
            "event_timestamp": row["timestamp"],
        }


def _upsert_asset(connection: Connection, key: str, values: Mapping[str, Any]) -> None:
    row = AssetKeyTable.update().where(AssetKeyTable.c.asset_key == key).values(**values)
    if connection.execute(row).rowcount == 0:
        connection.execute(AssetKeyTable.insert().values(asset_key=key, **values))
