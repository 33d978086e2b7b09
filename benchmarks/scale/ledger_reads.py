"""The records of 100,000 tracks out of 1,000,000 that are recorded, on SQLite and PostgreSQL.

Beside Dagster's own way to the data versions alone, which a plan with version checks does not do
with. The million is one event, copied by the database.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median

import dagster as dg

from benchmarks.ledger_writes import RUN, receipts, seconds
from benchmarks.report import report
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.ledger import BatchedLedger
from tests.ledger.storages import opened
from tests.services.postgres import PostgresServer, programs

RECORDED = 1_000_000
ASKED = 100_000
ROUNDS = 3
KEY = dg.AssetKey("recording")

COPY = """
insert into event_logs
  (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
select run_id, replace(event, 'track 0', 'track ' || number), dagster_event_type, timestamp,
  step_key, asset_key, 'track ' || number
from event_logs, numbers where partition = 'track 0'
"""
COPY_TAGS = """
insert into asset_event_tags (event_id, asset_key, key, value, event_timestamp)
select log.id, tag.asset_key, tag.key, tag.value, tag.event_timestamp
from event_logs as log, asset_event_tags as tag where log.partition <> 'track 0'
"""


def main() -> None:
    """Fill an event log of each kind and read from it."""
    rows: list[list[object]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        opened("sqlite", Path(folder), None) as instance,
    ):
        record_one(instance)
        fill_sqlite(Path(folder) / "history" / "runs" / "index.db")
        rows += measured("SQLite", instance)
    programs_folder = programs()
    if programs_folder:
        server = PostgresServer(programs_folder)
        try:
            server.start()
            url = server.new_database()
            with (
                tempfile.TemporaryDirectory() as folder,
                opened("postgres", Path(folder), url) as instance,
            ):
                record_one(instance)
                fill_postgres(server, url)
                rows += measured("PostgreSQL", instance)
        finally:
            server.remove()
    columns = [f"{ASKED:,} of {RECORDED:,}, s", "median", "min", "max"]
    report("scale_ledger_reads", rows, columns=columns)


def measured(name: str, instance: dg.DagsterInstance) -> list[list[object]]:
    """The lines of one database."""
    asked = [f"track {number}" for number in range(0, RECORDED, RECORDED // ASKED)]
    ledger = BatchedLedger(instance, metadata_of)
    assert len(ledger.records(["recording"], asked)["recording"]) == ASKED
    ours = [seconds(lambda: ledger.records(["recording"], asked)) for _ in range(ROUNDS)]
    stock = [seconds(lambda: data_versions(instance, asked)) for _ in range(ROUNDS)]
    return [
        [f"{name}: Dagster, data versions alone", median(stock), min(stock), max(stock)],
        [f"{name}: ours, the whole record", median(ours), min(ours), max(ours)],
    ]


def data_versions(instance: dg.DagsterInstance, asked: list[str]) -> None:
    """What Dagster has: in chunks, because it renders each value of its query."""
    for start in range(0, len(asked), 10_000):
        instance.event_log_storage.get_latest_tags_by_partition(
            KEY,
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            tag_keys=["dagster/data_version"],
            asset_partitions=asked[start : start + 10_000],
        )


def record_one(instance: dg.DagsterInstance) -> None:
    """The event that is copied."""
    BatchedLedger(instance, metadata_of).record(RUN, receipts(1))


def fill_sqlite(index: Path) -> None:
    """Copy it in a SQLite file."""
    numbers = (
        "with recursive numbers(number) as (select 1 union all"  # noqa: S608 - a constant
        f" select number + 1 from numbers where number < {RECORDED - 1})"
    )
    with closing(sqlite3.connect(index)) as connection, connection:
        connection.execute(numbers + COPY)
        connection.execute(COPY_TAGS)


def fill_postgres(server: PostgresServer, url: str) -> None:
    """Copy it in a database."""
    numbers = f"(select generate_series(1, {RECORDED - 1}) as number) as numbers"
    server.ask(COPY.replace("numbers", numbers, 1), url)
    server.ask(COPY_TAGS, url)
    server.ask("vacuum analyze", url)


if __name__ == "__main__":
    main()
