"""Events a second into Dagster's event log, on SQLite and PostgreSQL, beside Dagster's own ways.

Receipts as the reference project makes them: five tags, nine metadata entries. The public path is
what `context.log_event` does; it gets fewer receipts because it is some thirty times slower.
"Dagster's batch" is `store_event_batch` of its own storage, given the same events.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import dagster as dg

from benchmarks.report import report
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.events import RunIdentity, materialization
from klio_dagster.ledger.internals.event_log import dagster_event
from klio_dagster.ledger.ledger import BatchedLedger, Ledger
from klio_dagster.ledger.public_path import PublicLedger
from tests.ledger.storages import opened
from tests.services.postgres import PostgresServer, programs

ENTITIES = 10_000
SOME = 1_000
FEW = 200
ROUNDS = 5
STARTED = 1_790_000_000.0
RUN = RunIdentity(run_id="00000000-0000-0000-0000-000000000000", job_name="j", step_key="op")


def main() -> None:
    """Alternate the ways, each round into an instance of its own, and report."""
    folder = programs()
    server = PostgresServer(folder, durable=True) if folder else None
    rows: list[list[object]] = []
    try:
        if server:
            server.start()
        for kind in ("sqlite", "klio-sqlite", *(("postgres", "klio-postgres") if server else ())):
            rows += rows_of(kind, server)
    finally:
        if server:
            server.remove()
    report("ledger_writes", rows, columns=["what", "median", "min", "max"])


def rows_of(kind: str, server: PostgresServer | None) -> list[list[object]]:
    """The lines of one storage."""
    batched: list[list[float]] = []
    public: list[float] = []
    dagsters: list[float] = []
    for _ in range(ROUNDS):
        batched.append(in_batches(kind, server))
        if not kind.startswith("klio"):
            public.append(one_by_one(kind, server))
            dagsters.append(as_dagster_batches(kind, server))
    write_s, read_all_s, read_some_s = zip(*batched, strict=True)
    baselines: list[list[object]] = []
    if public:
        baselines = [
            row(f"{kind}: public path, events/s", [FEW / each for each in public]),
            row(f"{kind}: Dagster's batch, events/s", [SOME / each for each in dagsters]),
        ]
    return [
        *baselines,
        row(f"{kind}: ours, events/s", [ENTITIES / each for each in write_s]),
        row(f"{kind}: read all {ENTITIES:,}, ms", [1000 * each for each in read_all_s]),
        row(f"{kind}: read {SOME:,} of them, ms", [1000 * each for each in read_some_s]),
    ]


@contextmanager
def instance_of(kind: str, server: PostgresServer | None) -> Iterator[dg.DagsterInstance]:
    """A new instance."""
    url = server.new_database() if server and "postgres" in kind else None
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(kind, Path(folder), url) as instance,
    ):
        yield instance


def in_batches(kind: str, server: PostgresServer | None) -> list[float]:
    """Seconds to write, to read all, and to read some."""
    with instance_of(kind, server) as instance:
        ledger = BatchedLedger(instance, metadata_of)
        made = receipts(ENTITIES)
        asked = [receipt.entity for receipt in made[:: ENTITIES // SOME]]
        return [
            seconds(lambda: write(ledger, made)),
            seconds(lambda: ledger.records(["recording"], None)),
            seconds(lambda: ledger.records(["recording"], asked)),
        ]


def one_by_one(kind: str, server: PostgresServer | None) -> float:
    """Seconds to write through the public path."""
    with instance_of(kind, server) as instance:
        ledger = PublicLedger(instance, None, metadata_of)
        return seconds(lambda: write(ledger, receipts(FEW)))


def as_dagster_batches(kind: str, server: PostgresServer | None) -> float:
    """Seconds to make the same events and have Dagster's own storage write them."""
    with instance_of(kind, server) as instance:
        made = receipts(SOME)
        return seconds(
            lambda: instance.event_log_storage.store_event_batch([entry(each) for each in made])
        )


def entry(receipt: Receipt) -> dg.EventLogEntry:
    """A receipt's event as Dagster stores it."""
    return dg.EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=RUN.run_id,
        timestamp=receipt.finished_at,
        step_key=RUN.step_key,
        job_name=RUN.job_name,
        dagster_event=dagster_event(RUN, materialization(receipt, {}, metadata_of)),
    )


def receipts(count: int) -> list[Receipt]:
    """Good receipts, each with two inputs."""
    return [
        Receipt(
            run="",
            entity=f"track {number}",
            asset="recording",
            uri=f"/catalogue/recording/track%20{number}.flac",
            size=123_456,
            data_version=f"{number:032x}",
            code_version="0123456789abcdef",
            inputs={"tracks": f"{number:032x}", "model": "3"},
            codec={"name": "audio", "format": "flac", "bits": 16},
            metadata={"duration_s": 9.87654321, "sample_rate_hz": 22_050, "peak": 0.87654321},
            figures={"waveform": bytes(600)},
            started_at=STARTED,
            finished_at=round(STARTED + number / 1000, 6),
            cpu_s=0.0123,
        )
        for number in range(count)
    ]


def write(ledger: Ledger, made: list[Receipt]) -> None:
    """Record the receipts in batches, as a run does."""
    for start in range(0, len(made), 1000):
        ledger.record(RUN, made[start : start + 1000])


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def row(name: str, measured: list[float]) -> list[object]:
    """A line of the table."""
    return [name, median(measured), min(measured), max(measured)]


if __name__ == "__main__":
    main()
