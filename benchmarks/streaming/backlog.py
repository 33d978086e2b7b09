"""A backlog of 100,000 messages: does it drain, and does anything grow with it."""

import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.report import report
from benchmarks.streaming.streamed import LARGE_BATCHES, Streamed, emulated, served_process

SIZES = (10_000, 100_000)


def main() -> None:
    """Drain a small and a large backlog, each in a project of its own, and report."""
    rows: list[list[object]] = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder, emulated() as emulator:
            streamed = Streamed(Path(folder) / "project", emulator, options=LARGE_BATCHES)
            rows.append([f"{size:,} messages", *drained(streamed, size)])
    columns = ["", "s", "messages/s", "code server, MB", "run worker, MB", "driver, MB"]
    report("streaming_backlog", rows, columns)


def drained(streamed: Streamed, size: int) -> list[float]:
    """Seconds, messages a second, and the most memory of each kind of process."""
    names = [f"entity-{number:06}" for number in range(size)]
    streamed.ask_for(*names)
    most: dict[str, float] = {}
    is_over = threading.Event()
    with streamed.served():
        watcher = threading.Thread(target=watch, args=(most, is_over))
        watcher.start()
        started = time.time()
        told = streamed.followed(size)
        is_over.set()
        watcher.join()
    seconds = max(told.values()) - started
    kinds = ("server", "run", "driver")
    return [seconds, size / seconds, *(most.get(kind, 0.0) for kind in kinds)]


def watch(most: dict[str, float], is_over: threading.Event) -> None:
    """Note the most memory of each kind of process, in MB."""
    while not is_over.wait(0.5):
        server = served_process()
        for process in server.children(recursive=True) if server else ():
            try:
                line, held = " ".join(process.cmdline()), process.memory_info().rss / 1e6
            except psutil.Error:
                continue
            kind = next((k for k, words in KINDS.items() if words in line), None)
            if kind is not None:
                most[kind] = max(most.get(kind, 0.0), held)


# The run worker is forked or spawned by the code server, and not named by anything else.
KINDS = {
    "driver": "klio_dagster.engine.driver",
    "server": "api grpc",
    "run": "multiprocessing",
}


if __name__ == "__main__":
    main()
