"""The event log without some partitions: what `klio entities remove` takes out of it."""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
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

from klio_dagster.errors import LedgerError
from klio_dagster.ledger.internals.failures import clear_errors

_AT_ONCE = 500  # values bound to one query; SQLite takes 32,766, old ones 999
_PAGE = 1000  # stored events read at once, of some kilobytes each
_LOG = SqlEventLogStorageTable
_CHECKS = AssetCheckExecutionsTable


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
    named = frozenset(partitions)
    storage = _storage(instance)
    with _connected(storage.index_connection()) as connection:
        for run_id in _checked_in(connection, names, named):
            for _, key in _evaluations(connection, run_id, names, named):
                found[names[key]] = found.get(names[key], 0) + 1
        for some in _chunks(named):
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
    gone = frozenset(partitions)
    _forget_evaluations(storage, texts, gone)  # first: the rows below tell which runs have some
    for some in _chunks(gone):
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
            tags = AssetEventTagsTable
            connection.execute(tags.delete().where(tags.c.event_id.in_(events)))
            connection.execute(
                _CHECKS.delete().where(
                    _CHECKS.c.asset_key.in_(texts), _CHECKS.c.partition.in_(some)
                )
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


def _forget_evaluations(
    storage: SqlEventLogStorage, texts: Collection[str], gone: Collection[str]
) -> None:
    """Take the evaluations of checks out of the runs' own logs, then out of the index."""
    with _connected(storage.index_connection()) as connection:
        runs = _checked_in(connection, texts, gone)
    for run_id in runs:
        logs = [storage.index_connection()]
        if isinstance(storage, SqliteEventLogStorage) and os.path.exists(
            storage.path_for_shard(run_id)
        ):
            logs.insert(0, storage.run_connection(run_id))
        for log in logs:
            with _connected(log) as connection:
                _overwrite(connection)
                found = _evaluations(connection, run_id, texts, gone)
                for start in range(0, len(found), _AT_ONCE):
                    ids = [number for number, _ in found[start : start + _AT_ONCE]]
                    connection.execute(_LOG.delete().where(_LOG.c.id.in_(ids)))


def _checked_in(
    connection: Connection, texts: Collection[str], partitions: Iterable[str]
) -> list[str]:
    """The runs that checked outputs of these partitions."""
    runs: dict[str, None] = {}
    for some in _chunks(partitions):
        about = and_(_CHECKS.c.asset_key.in_(list(texts)), _CHECKS.c.partition.in_(some))
        found = connection.execute(select(_CHECKS.c.run_id).where(about).distinct()).scalars()
        runs.update(dict.fromkeys(found))
    return list(runs)


def _evaluations(
    connection: Connection, run_id: str, texts: Collection[str], partitions: Collection[str]
) -> list[tuple[int, str]]:
    """Row id and asset key of each evaluation of these partitions in a run.

    Only their body says what they are about: Dagster leaves the columns for it empty. The table of
    check executions knows the last one of a run, and not those that a retry of the run replaced.
    """
    found: list[tuple[int, str]] = []
    query = (
        select(_LOG.c.id, _LOG.c.event)
        .where(_LOG.c.run_id == run_id, _LOG.c.dagster_event_type == "ASSET_CHECK_EVALUATION")
        .order_by(_LOG.c.id)
        .limit(_PAGE)
    )
    last = 0
    while rows := connection.execute(query.where(_LOG.c.id > last)).all():
        for number, event in rows:
            about = json.loads(event)["dagster_event"]["event_specific_data"]
            key = dg.AssetKey(about["asset_key"]["path"]).to_string()
            if key in texts and about.get("partition") in partitions:
                found.append((number, key))
        last = rows[-1][0]
    return found


def _forget_newest(
    storage: SqlEventLogStorage, connection: Connection, key: str, gone: Collection[str]
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
    with clear_errors("then do it again"), connecting as connection:
        yield cast("Connection", connection)
