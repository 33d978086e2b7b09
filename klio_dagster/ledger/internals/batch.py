"""The rows of a batch of events in all of Dagster's tables, whatever database keeps them.

Private because Dagster fills these tables one event at a time, in several transactions an event.
Only the tables' definitions and the storage's own functions from an event to a row are used, so
that what a new Dagster adds to a row is in ours too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import dagster as dg
from dagster._core.events import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    DagsterEventType,
)
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import ColumnElement, Executable, Subquery, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

Make = Callable[[int], dg.EventLogEntry]
"""An event, made once its storage id is known."""

EVENTS = SqlEventLogStorageTable
_CHECKED = AssetCheckExecutionsTable
# What the table's unique index knows an execution by.
_EXECUTION = ("asset_key", "check_name", "run_id", "partition")

# As rows name them: an event works its kind out each time that it is asked.
_OF_ASSETS = frozenset(kind.value for kind in ASSET_EVENTS)
_OF_CHECKS = frozenset(kind.value for kind in ASSET_CHECK_EVENTS)
_OF_ANY_RUN = _OF_CHECKS.union(kind.value for kind in EVENT_TYPE_TO_PIPELINE_RUN_STATUS)
_EVALUATION = DagsterEventType.ASSET_CHECK_EVALUATION.value
_WITH_TAGS = frozenset(
    (DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_OBSERVATION.value)
)


class Stored(NamedTuple):
    """An event on its way into the tables."""

    entry: dg.EventLogEntry
    storage_id: int
    row: Mapping[str, Any]
    """Its row of `event_logs`, without the id."""
    kind: str | None
    """The event's type; None for a line of a log."""
    is_of_asset: bool
    """Whether an asset's pages and plans are made from it."""

    @property
    def is_across_runs(self) -> bool:
        """Whether Dagster looks for the event without knowing its run."""
        return self.is_of_asset or self.kind in _OF_ANY_RUN


def is_migrated(storage: SqlEventLogStorage) -> bool:
    """Whether the database has all tables and columns that a batch fills."""
    return (
        storage.has_table(AssetEventTagsTable.name)
        and storage.has_asset_key_index_cols()
        and storage.supports_asset_checks
    )


def is_across_runs(entry: dg.EventLogEntry) -> bool:
    """The same, of an event that is not on its way yet."""
    event = entry.dagster_event
    if event is None:
        return False
    kind = event.event_type_value
    return kind in _OF_ANY_RUN or (kind in _OF_ASSETS and event.asset_key is not None)


def stored(storage: SqlEventLogStorage, entry: dg.EventLogEntry, storage_id: int) -> Stored:
    """The event with its row, as the storage itself would write it."""
    row = storage._event_to_row(entry)
    kind = row["dagster_event_type"]
    return Stored(entry, storage_id, row, kind, kind in _OF_ASSETS and row["asset_key"] is not None)


def parts(newest: Subquery, part: ColumnElement[str]) -> Executable:
    """Asks for partition, storage id, timestamp and a part of the events that `newest` names."""
    return select(EVENTS.c.partition, EVENTS.c.id, EVENTS.c.timestamp, part).join(
        newest, newest.c.id == EVENTS.c.id
    )


def fill_side_tables(
    connection: Connection, storage: SqlEventLogStorage, events: Sequence[Stored]
) -> None:
    """Write what the other tables say of events: tags, assets, check executions.

    Args:
        connection: in the transaction that writes the events.
        storage: theirs.
        events: across runs, in their order.
    """
    of_assets = [event for event in events if event.is_of_asset]
    tags = [
        row for event in of_assets if event.kind in _WITH_TAGS for row in _tag_rows(storage, event)
    ]
    if tags:
        connection.execute(AssetEventTagsTable.insert(), tags)
    for key, values in _asset_rows(storage, of_assets):
        _upsert_asset(connection, key, values)
    _fill_checks(connection, [event for event in events if event.kind in _OF_CHECKS])


def _tag_rows(storage: SqlEventLogStorage, event: Stored) -> Iterable[dict[str, Any]]:
    for key, value in storage._tags_for_asset_event(event.entry).items():
        yield {
            "event_id": event.storage_id,
            "asset_key": event.row["asset_key"],
            "key": key,
            "value": value,
            "event_timestamp": event.row["timestamp"],
        }


def _asset_rows(
    storage: SqlEventLogStorage, events: Sequence[Stored]
) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """What the row of each asset says after these events, as if they had come one by one."""
    last: dict[tuple[str, str | None], Stored] = {}
    for event in events:
        kind = (event.row["asset_key"], event.kind)
        last.pop(kind, None)  # to the end: the later kind overwrites the earlier
        last[kind] = event
    assets: dict[str, dict[str, Any]] = {}
    for (key, _), event in last.items():
        values = storage._get_asset_entry_values(event.entry, event.storage_id, True)
        assets.setdefault(key, {}).update(values)
    return sorted(assets.items(), key=lambda asset: asset[0])  # one order for all: no deadlock


def _upsert_asset(connection: Connection, key: str, values: Mapping[str, Any]) -> None:
    row = _dialect(connection).insert(AssetKeyTable).values(asset_key=key, **values)
    same = [AssetKeyTable.c.asset_key]
    connection.execute(
        row.on_conflict_do_update(index_elements=same, set_=dict(values))
        if values
        else row.on_conflict_do_nothing(index_elements=same)
    )


def _dialect(connection: Connection) -> Any:  # noqa: ANN401 - either module has these words
    return sqlite if connection.dialect.name == "sqlite" else postgresql


def _fill_checks(connection: Connection, events: Sequence[Stored]) -> None:
    """Plan checks, and note their results on the rows that were planned, where there are any."""
    _insert(connection, [row for event in events for row in _planned_rows(event)])
    new: list[Mapping[str, Any]] = []
    results: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for row in (_evaluation_row(event) for event in events if event.kind == _EVALUATION):
        if row["partition"] is not None:
            results[tuple(row[name] for name in _EXECUTION)] = row  # the last one counts
        elif not row["run_id"]:
            new.append(row)  # a history, a row each
        elif not _changed(connection, row):
            _insert(connection, [row])  # at once: the next one of this check finds it
    _insert(connection, new)
    if results:
        rows = list(results.values())
        insert = _dialect(connection).insert(_CHECKED)
        values = {name: insert.excluded[name] for name in rows[0] if name not in _EXECUTION}
        upsert = insert.on_conflict_do_update(index_elements=_EXECUTION, set_=values)
        connection.execute(upsert, rows)


def _insert(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(_CHECKED.insert(), list(rows))


def _changed(connection: Connection, row: Mapping[str, Any]) -> bool:
    """Note the result of a check without partition: there, the table knows no two rows as equal."""
    same = [_CHECKED.c[name] == row[name] for name in _EXECUTION]
    return connection.execute(_CHECKED.update().where(*same).values(**row)).rowcount > 0


def _planned_rows(event: Stored) -> Iterable[dict[str, Any]]:
    if event.kind == _EVALUATION:
        return
    planned = cast("Any", event.entry.get_dagster_event().event_specific_data)
    subset = planned.partitions_subset
    for partition in subset.get_partition_keys() if subset else [None]:
        yield {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "partition": partition,
            "execution_status": "PLANNED",
            **_execution(event),
        }


def _evaluation_row(event: Stored) -> dict[str, Any]:
    evaluation = cast(
        "dg.AssetCheckEvaluation", event.entry.get_dagster_event().event_specific_data
    )
    about = evaluation.target_materialization_data
    return {
        "asset_key": evaluation.asset_key.to_string(),
        "check_name": evaluation.check_name,
        "partition": evaluation.partition,
        "execution_status": "SUCCEEDED" if evaluation.passed else "FAILED",
        "materialization_event_storage_id": about.storage_id if about else None,
        **_execution(event),
    }


def _execution(event: Stored) -> dict[str, Any]:
    return {
        "run_id": event.row["run_id"],
        "evaluation_event": event.row["event"],
        "evaluation_event_timestamp": event.row["timestamp"],
        "evaluation_event_storage_id": event.storage_id,
    }
