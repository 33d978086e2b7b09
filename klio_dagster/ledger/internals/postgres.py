"""PostgreSQL: a batch in one transaction, repeated when the connection is lost.

Private because Dagster's batch takes materialisations or observations only, updates the row of the
last one's asset only, and writes everything else an event at a time. dagster-postgres goes with
Dagster: 0.29.N with 1.13.N.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

import dagster as dg
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import DagsterPostgresException, pg_url_from_config
from sqlalchemy import (
    Executable,
    Select,
    String,
    Subquery,
    Text,
    case,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, DBAPIError

from klio_dagster.ledger.internals.batch import (
    EVENTS,
    Make,
    fill_side_tables,
    parts,
    stored,
)

Storage = PostgresEventLogStorage
T = TypeVar("T")

# Longer than a restart takes; then somebody should be told.
_GIVE_UP_AFTER_S = 60.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_GIVEN_UP: WeakSet[PostgresEventLogStorage] = WeakSet()
# One for all who write batches: any number that nobody else locks.
_LOCK = 0x6B6C696F
# A process that stands still in its transaction is dropped by the server before others give up.
_SETTINGS = "SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '25s'"
# NaN, NUL and lone surrogates are in what Dagster stores, and no JSON to PostgreSQL.
_NOT_JSON = r"NaN|Infinity|\\u0000|\\u[dD][89a-fA-F]"


class PostgresLog:
    """The event log in a PostgreSQL database.

    Args:
        storage: Dagster's, or ours.
    """

    def __init__(self, storage: PostgresEventLogStorage) -> None:
        self._storage = storage

    def store(self, run_id: str, makers: Sequence[Make]) -> None:  # noqa: ARG002 - one table for all runs
        """Write events, all or none; once, even if the connection breaks while it commits.

        Batches wait for each other, so that a reader who remembers the last id misses none, and
        so that what became of a broken one is known.
        """
        given: list[int] = []

        def write() -> None:
            with self._storage.index_transaction() as connection:
                connection.exec_driver_sql(_SETTINGS)
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
                if given and _has_event(connection, given[0]):
                    return  # committed, only the answer was lost
                given[:] = _new_ids(connection, len(makers))
                self._write(connection, makers, given)

        if makers:
            _persistently(self._storage, write)

    def store_entries(self, entries: Sequence[dg.EventLogEntry]) -> None:
        """Write events that Dagster made."""
        self.store("", [partial(_as_it_is, entry) for entry in entries])

    def rows(self, query: Executable) -> Iterator[Sequence[Any]]:
        """What a query finds."""

        def read() -> Sequence[Sequence[Any]]:
            with self._storage.index_connection() as connection:
                return connection.execute(query).all()

        yield from _persistently(self._storage, read)

    def each_of(self, values: Sequence[str]) -> Select[tuple[str]]:
        """For `IN`: bound as one value."""
        listed = func.json_array_elements_text(cast(list(values), JSON))
        return select(listed.table_valued(column("value", String)).c.value)

    def parts(self, newest: Subquery, path: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Partition, id, timestamp, and a part of each event with its run id, as a JSON list.

        Where one of them is no JSON to PostgreSQL, such events come as a whole. Looking for them
        takes as long as everything else, so it is done only then.
        """
        part = cast(EVENTS.c.event, JSON)[tuple(path)]
        found = cast(func.json_build_array(part, EVENTS.c.run_id), Text)
        try:
            yield from self.rows(parts(newest, found))
        except DataError:
            is_json = EVENTS.c.event.op("!~")(_NOT_JSON)
            yield from self.rows(parts(newest, case((is_json, found), else_=EVENTS.c.event)))

    def _write(self, connection: Connection, makers: Sequence[Make], ids: Sequence[int]) -> None:
        events = [
            stored(self._storage, make(number), number)
            for make, number in zip(makers, ids, strict=True)
        ]
        connection.execute(EVENTS.insert(), [{"id": e.storage_id, **e.row} for e in events])
        across = [event for event in events if event.is_across_runs]
        fill_side_tables(connection, self._storage, across)


def _as_it_is(entry: dg.EventLogEntry, _storage_id: int) -> dg.EventLogEntry:
    return entry


def _new_ids(connection: Connection, count: int) -> list[int]:
    sequence = func.pg_get_serial_sequence(EVENTS.name, "id")
    each = func.generate_series(1, count).table_valued("number")
    query = select(func.nextval(sequence)).select_from(each)
    return sorted(row[0] for row in connection.execute(query))


def _has_event(connection: Connection, storage_id: int) -> bool:
    return (
        connection.execute(select(EVENTS.c.id).where(EVENTS.c.id == storage_id)).first() is not None
    )


def _persistently(storage: PostgresEventLogStorage, do: Callable[[], T]) -> T:
    """Do it, and again with growing pauses as long as the server cannot be reached.

    Who waited in vain once waits no more until it has answered: a run that ends because of that
    has some more events to write.

    Raises:
        DagsterPostgresException: no connection for too long.
        DBAPIError: the same, or what the server says.
    """
    patience_s = 0.0 if storage in _GIVEN_UP else _GIVE_UP_AFTER_S
    started = time.monotonic()
    pause = _FIRST_PAUSE_S
    while True:
        try:
            done = do()
        except (DagsterPostgresException, DBAPIError) as error:
            is_lost = isinstance(error, DagsterPostgresException) or error.connection_invalidated
            if is_lost and time.monotonic() - started + pause > patience_s:
                _GIVEN_UP.add(storage)
                raise
            if not is_lost:
                raise
        else:
            _GIVEN_UP.discard(storage)
            return done
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def settings(config: Any) -> dict[str, Any]:  # noqa: ANN401 - as Dagster reads it from dagster.yaml
    """Arguments of a storage's class, out of its part of `dagster.yaml`."""
    given = {
        "postgres_url": pg_url_from_config(config),
        "should_autocreate_tables": config.get("should_autocreate_tables", True),
    }
    if config.get("auth_provider") is not None:  # not in 1.13.0
        from dagster_postgres.utils import get_token_provider_from_config

        given["token_provider"] = get_token_provider_from_config(config)
    return given
