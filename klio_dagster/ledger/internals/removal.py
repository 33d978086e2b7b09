"""The event log without some partitions: what `klio entities remove` takes out of it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any, cast

import dagster as dg
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    DynamicPartitionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import deserialize_value
from sqlalchemy import and_, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from klio_dagster.errors import LedgerError

_AT_ONCE = 500  # values bound to one query; SQLite takes 32,766, old ones 999
_LOG = SqlEventLogStorageTable


def events_of(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey], partitions: Iterable[str]
) -> dict[str, int]:
    """How many events name these partitions: asset key to number; those with none are left out.

    Private because the public way counts one kind of event of one partition at a time.

    Raises:
        LedgerError: the event log cannot be read, or is of a kind that cannot forget.
    """
    names = {key.to_string(): key.to_user_string() for key in keys}
    found: dict[str, int] = {}
    storage = _storage(instance)
    with _connected(storage.index_connection()) as connection:
        for some in _chunks(partitions):
            query = (
                select(_LOG.c.asset_key, func.count())
                .where(_LOG.c.asset_key.in_(list(names)), _LOG.c.partition.in_(some))
                .group_by(_LOG.c.asset_key)
            )
            for key, number in connection.execute(query):
                found[names[key]] = found.get(names[key], 0) + number
    return found


def forget(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey], partitions: Iterable[str]
) -> None:
    """Take every event of these partitions out of the event log. Calling again changes nothing.

    Private because the public `wipe_asset_partitions` raises NotImplementedError on every storage
    of open-source Dagster. The run's own log goes first: which runs there are, the index tells.

    Raises:
        LedgerError: the event log cannot be written, or is of a kind that cannot forget.
    """
    storage = _storage(instance)
    texts = [key.to_string() for key in keys]
    gone: set[str] = set()
    for some in _chunks(partitions):
        gone.update(some)
        about = and_(_LOG.c.asset_key.in_(texts), _LOG.c.partition.in_(some))
        with _connected(storage.index_connection()) as connection:
            runs = connection.execute(select(_LOG.c.run_id).where(about).distinct()).scalars().all()
        if isinstance(storage, SqliteEventLogStorage):
            for run_id in runs:
                # Opening a log that is not there would make it.
                if os.path.exists(storage.path_for_shard(run_id)):
                    with _connected(storage.run_connection(run_id)) as connection:
                        _overwrite(connection)
                        connection.execute(_LOG.delete().where(about))
        with _connected(storage.index_connection()) as connection:
            _overwrite(connection)
            events = select(_LOG.c.id).where(about)
            tags, checks = AssetEventTagsTable, AssetCheckExecutionsTable
            connection.execute(tags.delete().where(tags.c.event_id.in_(events)))
            connection.execute(
                checks.delete().where(checks.c.asset_key.in_(texts), checks.c.partition.in_(some))
            )
            connection.execute(_LOG.delete().where(about))
    with _connected(storage.index_connection()) as connection:
        _overwrite(connection)
        for key in texts:
            _forget_newest(storage, connection, key, gone)


def forget_partitions(
    instance: dg.DagsterInstance, catalogue: str, partitions: Iterable[str]
) -> None:
    """Delete dynamic partitions; those that are not there are fine.

    Private because the public way deletes one at a time, 10 ms each on SQLite.

    Raises:
        LedgerError: the event log cannot be written, or is of a kind that cannot forget.
    """
    table = DynamicPartitionsTable
    with _connected(_storage(instance).index_connection()) as connection:
        _overwrite(connection)
        for some in _chunks(partitions):
            connection.execute(
                table.delete().where(
                    table.c.partitions_def_name == catalogue, table.c.partition.in_(some)
                )
            )


def _forget_newest(
    storage: SqlEventLogStorage, connection: Connection, key: str, gone: set[str]
) -> None:
    """What the row of an asset tells of its newest materialisation, and of its partitions."""
    row = AssetKeyTable.c.asset_key == key
    told = connection.execute(select(AssetKeyTable.c.last_materialization).where(row)).scalar()
    values: dict[str, Any] = {"cached_status_data": None}  # made anew when it is next asked for
    if told and _partition(told) in gone:
        query = (
            select(_LOG.c.id, _LOG.c.event)
            .where(_LOG.c.asset_key == key, _LOG.c.dagster_event_type == "ASSET_MATERIALIZATION")
            .order_by(_LOG.c.id.desc())
            .limit(1)
        )
        newest = connection.execute(query).first()
        values["last_materialization"] = None
        if newest is not None:
            made = storage._get_asset_entry_values(
                event=deserialize_value(newest[1], dg.EventLogEntry),
                event_id=newest[0],
                has_asset_key_index_cols=True,
            )
            values["last_materialization"] = made["last_materialization"]
    connection.execute(AssetKeyTable.update().where(row).values(**values))


def _partition(told: str) -> str | None:
    """The partition of a stored materialisation; older Dagsters stored the event, not a record."""
    value: Any = deserialize_value(told)
    entry = getattr(value, "event_log_entry", value)
    event = getattr(entry, "dagster_event", None)
    return event.partition if event else None


def _overwrite(connection: Connection) -> None:
    # Else SQLite only marks pages as free, and the file still holds what was deleted.
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")


def _storage(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise LedgerError(
            f"{type(storage).__name__} cannot forget partitions",
            where="DAGSTER_HOME",
            fix="use Dagster's storage for SQLite or PostgreSQL",
        )
    return storage


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(values)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


@contextmanager
def _connected(connecting: AbstractContextManager[Any]) -> Iterator[Connection]:
    try:
        with connecting as connection:
            yield cast("Connection", connection)
    except SQLAlchemyError as error:
        raise LedgerError(
            f"Dagster's event log did not work: {str(error).splitlines()[0]}",
            where="DAGSTER_HOME",
            fix="see that its disk has room and that no other process keeps it locked",
        ) from error
