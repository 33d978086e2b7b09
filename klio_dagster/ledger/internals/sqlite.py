"""SQLite: a batch in one transaction over both files, and what is asked of them.

Private because Dagster keeps an event twice, in the run's file and in the index of all runs, and
writes each with transactions of its own. Where this Dagster keeps another schema, `is_migrated`
says so and callers take the public path.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import (
    Executable,
    MetaData,
    Select,
    String,
    Subquery,
    case,
    column,
    func,
    select,
)
from sqlalchemy.engine import Connection

from klio_dagster.ledger.internals.batch import (
    EVENTS,
    Make,
    Stored,
    fill_side_tables,
    is_across_runs,
    parts,
    stored,
)

Storage = SqliteEventLogStorage

_OF_RUN = EVENTS.to_metadata(MetaData(), schema="of_run")
_COLUMNS = ", ".join(f'"{each.name}"' for each in EVENTS.columns if each.name != "id")
# Dagster's own in the newest version; 1.13.0 waits 5 s where it writes.
_WAIT_FOR_LOCK_MS = 30_000


class SqliteLog:
    """The event log in SQLite files.

    Args:
        storage: Dagster's, or ours.
    """

    def __init__(self, storage: SqliteEventLogStorage) -> None:
        self._storage = storage

    def store(self, run_id: str, makers: Sequence[Make]) -> None:
        """Write events of one run, all or none.

        Both files are locked, the index first, before anything is written: who finds one of them
        locked for too long has written nothing and may do it all again. At the commit SQLite
        writes the index first (docs/adr/0008-the-index-is-written-first.md).
        """
        with self._storage.run_connection(run_id):
            pass  # makes the run's file
        with self._storage.index_connection() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_WAIT_FOR_LOCK_MS}")
            path = self._storage.path_for_shard(run_id)
            connection.exec_driver_sql("ATTACH DATABASE ? AS of_run", (path,))
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # ids are given out under the lock
            self._write(connection, makers)

    def store_entries(self, entries: Sequence[dg.EventLogEntry]) -> None:
        """Write events that Dagster made; a transaction a run."""
        for run_id in dict.fromkeys(entry.run_id for entry in entries):
            of_run = [entry for entry in entries if entry.run_id == run_id]
            if any(is_across_runs(entry) for entry in of_run):
                self.store(run_id, [_as_it_is(entry) for entry in of_run])
            else:
                rows = [self._storage._event_to_row(entry) for entry in of_run]
                with self._storage.run_connection(run_id) as connection:
                    connection.execute(EVENTS.insert(), rows)

    def rows(self, query: Executable) -> Iterator[Sequence[Any]]:
        """What a query finds, row by row; holds the storage's lock until used up."""
        with self._storage.index_connection() as connection:
            yield from connection.execute(query)

    def each_of(self, values: Sequence[str]) -> Select[tuple[str]]:
        """For `IN`: bound as one value, where SQLite takes 32,766 and SQLAlchemy renders each."""
        listed = func.json_each(json.dumps(list(values))).table_valued(column("value", String))
        return select(listed.c.value)

    def parts(self, newest: Subquery, path: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Partition, id, timestamp, and a part of each event with its run id, as a JSON list.

        SQLite does not know NaN, which Dagster stores in metadata: then the event comes as a whole.
        """
        found = func.json_extract(EVENTS.c.event, "$." + ".".join(path), "$.run_id")
        part = case((func.json_valid(EVENTS.c.event), found), else_=EVENTS.c.event)
        return self.rows(parts(newest, part))

    def _write(self, connection: Connection, makers: Sequence[Make]) -> None:
        number = connection.execute(select(func.max(EVENTS.c.id))).scalar() or 0
        first = number + 1
        index: list[Stored] = []
        rows: list[Any] = []
        for make in makers:
            event = stored(self._storage, make(number + 1), number + 1)
            rows.append(event.row)
            if event.is_across_runs:
                number += 1
                index.append(event)
        connection.execute(EVENTS.insert(), [{"id": each.storage_id, **each.row} for each in index])
        fill_side_tables(connection, self._storage, index)
        if len(index) == len(rows):  # SQLite copies them in half the time; the run counts its own
            connection.exec_driver_sql(
                f"INSERT INTO of_run.event_logs ({_COLUMNS})"  # noqa: S608 - Dagster's own columns
                f" SELECT {_COLUMNS} FROM main.event_logs WHERE id >= ? ORDER BY id",
                (first,),
            )
        else:
            connection.execute(_OF_RUN.insert(), rows)


def _as_it_is(entry: dg.EventLogEntry) -> Make:
    return lambda _storage_id: entry
