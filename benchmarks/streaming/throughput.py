"""20,000 messages, from the first one published to the last one recorded and passed on."""

import tempfile
import time
from pathlib import Path

from benchmarks.report import report
from benchmarks.streaming.streamed import LARGE_BATCHES, Streamed, emulated
from klio_dagster.pubsub.pull import Subscription

MESSAGES = 20_000
# Measured with Klio 22.3.0 and a trivial transform.
KLIO_DIRECT = 141.0
KLIO_GKE = 6.6


def main() -> None:
    """Measure a bare loop and ours on the same emulator, and report."""
    with tempfile.TemporaryDirectory() as folder, emulated() as emulator:
        streamed = Streamed(Path(folder) / "project", emulator, options=LARGE_BATCHES)
        names = [f"entity-{number:06}" for number in range(MESSAGES)]
        bare_s = bare(streamed, names)
        large_s = ours(streamed, names)
    with tempfile.TemporaryDirectory() as folder, emulated() as emulator:
        usual_s = ours(Streamed(Path(folder) / "project", emulator), names)
    rows = [
        ["bare pull and acknowledge", bare_s, MESSAGES / bare_s, 1.0],
        ["ours, 5,000 a batch", large_s, MESSAGES / large_s, bare_s / large_s],
        ["ours, 1,000 a batch", usual_s, MESSAGES / usual_s, bare_s / usual_s],
        ["Klio 22.3.0 DirectRunner, loses on a kill", "", KLIO_DIRECT, ""],
        ["Klio 22.3.0 DirectGKERunner", "", KLIO_GKE, ""],
    ]
    report("streaming_throughput", rows, [f"{MESSAGES:,} messages", "s", "messages/s", "of bare"])


def bare(streamed: Streamed, names: list[str]) -> float:
    """Seconds to publish all, pull them and acknowledge them, and nothing else."""
    started = time.monotonic()
    streamed.ask_for(*names)
    subscription = Subscription(streamed.settings, "asked")
    left = len(names)
    while left:
        received = subscription.pull()
        subscription.acknowledge(received)
        left -= len(received)
    return time.monotonic() - started


def ours(streamed: Streamed, names: list[str]) -> float:
    """Seconds until each of them is recorded and passed on.

    Raises:
        RuntimeError: one was lost.
    """
    with streamed.served():
        started = time.time()
        streamed.ask_for(*names)
        told = streamed.followed(len(names))
        if set(told) != set(names):
            raise RuntimeError("others were passed on than were asked for")
        return max(told.values()) - started


if __name__ == "__main__":
    main()
