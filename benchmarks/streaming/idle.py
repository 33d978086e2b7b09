"""What a message sensor costs while nothing comes: CPU of all of Dagster, with and without it."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.report import report
from benchmarks.streaming.streamed import Streamed, cpu_s, emulated, served_process

WINDOWS = 5
WINDOW_S = 20.0  # four looks of Dagster's
_SETTLED_S = 30.0
_TICKING: Mapping[str, Mapping[str, bool]] = {
    "none": {"is_on": False},
    "one that does nothing": {"is_on": False, "with_nothing": True},
    "ours": {"is_on": True},
}


def main() -> None:
    """Measure the same project with no sensor, an empty one and ours running, and report."""
    shares = {name: cpu_share(**ticking) for name, ticking in _TICKING.items()}
    rows = [[name, 100 * share, 100 * (share - shares["none"])] for name, share in shares.items()]
    report("streaming_idle", rows, ["sensor", "% of a core", "more than none"])


def cpu_share(**ticking: bool) -> float:
    """CPU seconds a second of the web server, the daemon and the code server; the median."""
    with tempfile.TemporaryDirectory() as folder, emulated() as emulator:
        streamed = Streamed(Path(folder) / "project", emulator, **ticking)
        with streamed.served():
            time.sleep(_SETTLED_S)
            process = served_process()
            assert process is not None
            return median(window(process.pid) for _ in range(WINDOWS))


def window(pid: int) -> float:
    """CPU seconds a second of a process and all below it, for a while."""
    before, at = sum(cpu_s(pid).values()), time.monotonic()
    time.sleep(WINDOW_S)
    return (sum(cpu_s(pid).values()) - before) / (time.monotonic() - at)


if __name__ == "__main__":
    main()
