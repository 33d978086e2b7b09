"""What a message sensor costs while nothing comes: CPU of all of Dagster, with and without it."""

import tempfile
import time
from pathlib import Path

from benchmarks.report import report
from benchmarks.streaming.streamed import Streamed, cpu_s, emulated, served_process

WATCHED_S = 60.0
_SETTLED_S = 15.0


def main() -> None:
    """Measure the same project with its sensor running and stopped, and report."""
    spent = {name: cpu_share(is_on=name == "running") for name in ("running", "stopped")}
    cost = spent["running"] - spent["stopped"]
    rows = [
        ["sensor running", 100 * spent["running"]],
        ["sensor stopped", 100 * spent["stopped"]],
        ["the sensor", 100 * cost],
    ]
    report("streaming_idle", rows, ["idle", "% of a core"])


def cpu_share(*, is_on: bool) -> float:
    """CPU seconds a second of the web server, the daemon and the code server."""
    with tempfile.TemporaryDirectory() as folder, emulated() as emulator:
        streamed = Streamed(Path(folder) / "project", emulator, is_on=is_on)
        with streamed.served():
            time.sleep(_SETTLED_S)
            process = served_process()
            assert process is not None
            before, at = sum(cpu_s(process.pid).values()), time.monotonic()
            time.sleep(WATCHED_S)
            return (sum(cpu_s(process.pid).values()) - before) / (time.monotonic() - at)


if __name__ == "__main__":
    main()
