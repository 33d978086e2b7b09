"""Events a second into Dagster's SQLite event log, beside the public path; and reading them back.

Receipts as the reference project makes them: five tags, nine metadata entries. The public path is
what `context.log_event` does; it gets fewer receipts because it is some thirty times slower.
"""

import tempfile
import time
from collections.abc import Callable
from statistics import median

import dagster as dg

from benchmarks.report import report
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.ledger import BatchedLedger, Ledger
from klio_dagster.ledger.public_path import PublicLedger

ENTITIES = 10_000
SOME = 1_000
FEW = 200
ROUNDS = 5
STARTED = 1_790_000_000.0


def main() -> None:
    """Alternate the two ways, each round into an instance of its own, and report."""
    batched: list[list[float]] = []
    public: list[float] = []
    for _ in range(ROUNDS):
        batched.append(in_batches())
        public.append(one_by_one())
    write_s, read_all_s, read_some_s = zip(*batched, strict=True)
    rows = [
        row("public path, events/s", [FEW / each for each in public]),
        row("batched, events/s", [ENTITIES / each for each in write_s]),
        row(f"read all of {ENTITIES:,} records, ms", [1000 * each for each in read_all_s]),
        row(f"read {SOME:,} of {ENTITIES:,} records, ms", [1000 * each for each in read_some_s]),
    ]
    report("ledger_writes", rows, columns=["what", "median", "min", "max"])


def in_batches() -> list[float]:
    """Seconds to write, to read all, and to read some."""
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        ledger = BatchedLedger(instance, metadata_of)
        made = receipts(ENTITIES)
        asked = [receipt.entity for receipt in made[:: ENTITIES // SOME]]
        return [
            seconds(lambda: write(ledger, made)),
            seconds(lambda: ledger.records(["recording"], None)),
            seconds(lambda: ledger.records(["recording"], asked)),
        ]


def one_by_one() -> float:
    """Seconds to write through the public path."""
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        ledger = PublicLedger(instance, None, metadata_of)
        return seconds(lambda: write(ledger, receipts(FEW)))


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
    run = RunIdentity(run_id="00000000-0000-0000-0000-000000000000", job_name="j", step_key="op")
    for start in range(0, len(made), 1000):
        ledger.record(run, made[start : start + 1000])


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
