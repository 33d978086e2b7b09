"""EVERY private Dagster call, each with the reason, the versions and the way around it.

Range for all: dagster 1.13.0 and the newest (`make test-versions`). Where Dagster does not look as
expected, `batches` says so and callers take `public_path`, which is slow and supported.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from itertools import islice
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import func, select

from klio_dagster.ledger.events import RunIdentity

_MOST_BOUND = 10_000  # values in one IN list; SQLite's own limit is 32,766
_INFO = 20

Make = Callable[[int], "dg.AssetMaterialization | dg.AssetObservation | Planned"]
"""An event, made once its storage id is known."""


class Planned(NamedTuple):
    """An output that a run set out to make; shown as failed when that run fails without it."""

    asset_key: dg.AssetKey
    partition: str


class Row(NamedTuple):
    """A stored event: what the ledger's reader needs of it."""

    partition: str
    storage_id: int
    timestamp: float
    body: str


def batches(instance: dg.DagsterInstance) -> bool:
    """Whether the functions below can work on this instance's event log."""
    return isinstance(_storage(instance), SqliteEventLogStorage)


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
    """
    storage = _storage(instance)
    table = SqlEventLogStorageTable
    with storage.index_connection() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # ids are given out under the lock
        first = (connection.execute(select(func.max(table.c.id))).scalar() or 0) + 1
        entries = [
            _entry(run, timestamp, make(number))
            for number, (timestamp, make) in enumerate(makers, start=first)
        ]
        rows = [storage._event_to_row(entry) for entry in entries]
        ids = range(first, first + len(entries))
        connection.execute(
            table.insert(), [{**row, "id": number} for number, row in zip(ids, rows, strict=True)]
        )
        tagged = [(e, i) for e, i in zip(entries, ids, strict=True) if _has_tags(e)]
        if tagged:
            storage._store_asset_event_tags(
                connection, [entry for entry, _ in tagged], [number for _, number in tagged]
            )
        for entry, number in _newest_of_each(entries, ids):
            storage._store_asset_event(connection, entry, number)
    with storage.run_connection(run.run_id) as connection:
        connection.execute(table.insert(), rows)


def newest_events(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    kind: str,
    partitions: Sequence[str] | None,
) -> Iterator[Row]:
    """The newest event of a kind of each partition of an asset, wiped ones left out.

    Private because the public ways read one partition at a time, or the tags only that Dagster
    indexes, which is the data version.

    Args:
        instance: with a SQLite event log.
        key: of the asset.
        kind: `ASSET_MATERIALIZATION` or `ASSET_OBSERVATION`.
        partitions: the ones asked for; all when None.
    """
    storage = _storage(instance)
    table = SqlEventLogStorageTable
    for chunk in [None] if partitions is None else _chunks(partitions):
        newest = storage._latest_event_ids_by_partition_subquery(
            key, [DagsterEventType(kind)], asset_partitions=chunk
        )
        query = select(table.c.partition, table.c.id, table.c.timestamp, table.c.event).join(
            newest, newest.c.id == table.c.id
        )
        with storage.index_connection() as connection:
            rows = connection.execute(query).fetchall()
        for partition, storage_id, timestamp, body in rows:
            yield Row(partition, storage_id, _epoch(timestamp), body)


def partitions_by_key(
    context: dg.AssetExecutionContext,
) -> dict[str, dg.PartitionsDefinition[str] | None]:
    """Partitions of every asset of the code location, by key.

    Private because a context's `repository_def` is there in runs of a code location only, and not
    in `dg.materialize`.
    """
    graph = context.op_execution_context.job_def.asset_layer.asset_graph
    return {
        key.to_user_string(): graph.get(key).partitions_def for key in graph.get_all_asset_keys()
    }


def _storage(instance: dg.DagsterInstance) -> Any:
    return instance.event_log_storage


def _epoch(timestamp: Any) -> float:
    return timestamp.replace(tzinfo=UTC).timestamp()


def _chunks(values: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(values)
    while chunk := list(islice(rest, _MOST_BOUND)):
        yield chunk


def _entry(
    run: RunIdentity,
    timestamp: float,
    event: "dg.AssetMaterialization | dg.AssetObservation | Planned",
) -> dg.EventLogEntry:
    match event:
        case dg.AssetMaterialization():
            kind, data = DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event)
        case dg.AssetObservation():
            kind, data = DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event)
        case Planned():
            kind = DagsterEventType.ASSET_MATERIALIZATION_PLANNED
            data = AssetMaterializationPlannedData(event.asset_key, event.partition)
    return dg.EventLogEntry(
        error_info=None,
        level=_INFO,
        user_message="",
        run_id=run.run_id,
        timestamp=timestamp,
        step_key=run.step_key,
        job_name=run.job_name,
        dagster_event=dg.DagsterEvent(
            event_type_value=kind.value,
            job_name=run.job_name,
            step_key=run.step_key,
            event_specific_data=data,
        ),
    )


def _has_tags(entry: dg.EventLogEntry) -> bool:
    event = entry.get_dagster_event()
    return event.is_step_materialization or event.is_asset_observation


def _newest_of_each(
    entries: Sequence[dg.EventLogEntry], ids: Sequence[int]
) -> list[tuple[dg.EventLogEntry, int]]:
    """The last event of each kind of each asset: what the row of the asset shows."""
    newest: dict[tuple[str, str], tuple[dg.EventLogEntry, int]] = {}
    for entry, number in zip(entries, ids, strict=True):
        event = entry.get_dagster_event()
        key = event.asset_key
        assert key is not None
        newest[key.to_string(), event.event_type_value] = (entry, number)
    return list(newest.values())
