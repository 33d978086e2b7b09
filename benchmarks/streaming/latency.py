"""One message a second: from published to recorded and passed on, and where the time goes."""

import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import dagster as dg

from benchmarks.report import report
from benchmarks.streaming.streamed import Streamed, emulated
from klio_dagster.core.receipt import Receipt
from klio_dagster.store.receipts import compacted
from klio_dagster.store.store import Store

MESSAGES = 60
WARM = 5  # the first ones find cold caches
STEPS = ("tick", "queue", "launch", "driver start", "work", "ledger")


def main(asked: list[str]) -> None:
    """Measure with Dagster's own settings and with those of `klio dev`, and report."""
    rows: list[list[object]] = []
    for name in asked or ["stock Dagster", "klio dev"]:
        with tempfile.TemporaryDirectory() as folder, emulated() as emulator:
            streamed = Streamed(
                Path(folder) / "project", emulator, is_stock=name == "stock Dagster"
            )
            latencies, parts = measured(streamed)
        taken = sorted(latencies)
        p99 = taken[min(len(taken) - 1, round(0.99 * len(taken)))]
        of_steps = [median(each[step] for each in parts) for step in STEPS]
        rows.append([name, len(taken), median(taken), p99, taken[-1], *of_steps])
    columns = [
        "seconds",
        "messages",
        "median",
        "p99",
        "max",
        *(f"{step}, median" for step in STEPS),
    ]
    report("streaming_latency", rows, columns)


def measured(streamed: Streamed) -> tuple[list[float], list[Mapping[str, float]]]:
    """The latency of each message, and its parts."""
    published: dict[str, float] = {}

    def publish() -> None:
        for number in range(WARM + MESSAGES):
            name = f"entity-{number:04}"
            published[name] = time.time()
            streamed.ask_for(name)
            time.sleep(max(0.0, published[name] + 1.0 - time.time()))

    with streamed.served():
        streamed.ask_for("first")
        streamed.followed(1)
        sender = threading.Thread(target=publish)
        sender.start()
        told = streamed.followed(WARM + MESSAGES)
        sender.join()
    names = sorted(published)[WARM:]
    latencies = [told[name] - published[name] for name in names]
    steps = dict(of_runs(streamed, told, published))
    return latencies, [steps[name] for name in names]


def of_runs(
    streamed: Streamed, told: Mapping[str, float], published: Mapping[str, float]
) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Entity to the seconds of each step on its way."""
    store = Store.open(str(streamed.project.folder / "data"))
    with streamed.instance() as instance:
        for record in instance.get_run_records():
            run = record.dagster_run
            made = record.create_timestamp.timestamp()
            started, op = times_of(instance, run.run_id)
            for receipt in compacted(store, run.run_id):
                entity = receipt.entity
                if entity not in published:
                    continue
                begun = begun_at(receipt)
                yield (
                    entity,
                    {
                        "tick": made - published[entity],
                        "queue": started - made,
                        "launch": op - started,
                        "driver start": begun - op,
                        "work": receipt.finished_at - begun,
                        "ledger": told[entity] - receipt.finished_at,
                    },
                )


def begun_at(receipt: Receipt) -> float:
    """When its computation began."""
    return receipt.started_at or receipt.finished_at


def times_of(instance: dg.DagsterInstance, run_id: str) -> tuple[float, float]:
    """When a run left the queue, and when its op started."""
    left = started = 0.0
    for entry in instance.all_logs(run_id):
        if entry.dagster_event_type is dg.DagsterEventType.PIPELINE_STARTING:
            left = entry.timestamp
        if entry.dagster_event_type is dg.DagsterEventType.STEP_START:
            started = entry.timestamp
    return left, started


if __name__ == "__main__":
    main(sys.argv[1:])
