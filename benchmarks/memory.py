"""Peak memory of launcher and driver with 1,000 and with 10,000 entities in one run."""

import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.no_op import DEFINITIONS
from benchmarks.project import Project
from benchmarks.report import report

SIZES = (1_000, 10_000)
_EVERY_S = 0.05


class Watched(threading.Thread):
    """Samples the resident memory of the processes below this one, by what they are."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks_mb = {"launcher": 0.0, "driver": 0.0, "worker": 0.0}
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until stopped."""
        while not self._ended.wait(_EVERY_S):
            for process in psutil.Process().children(recursive=True):
                try:
                    line = " ".join(process.cmdline())
                    resident = process.memory_info().rss / 1e6
                except psutil.Error:
                    continue
                role = next((r for r in ("driver", "worker") if f"engine.{r}" in line), "launcher")
                self.peaks_mb[role] = max(self.peaks_mb[role], resident)

    def stop(self) -> None:
        """End sampling."""
        self._ended.set()
        self.join()


COLUMNS = ["entities", "launcher MB", "driver MB", "one worker MB", "seconds"]


def main() -> None:
    """Measure both sizes."""
    report("memory", [peaks(size) for size in SIZES], columns=COLUMNS)


def peaks(size: int) -> list[object]:
    """A row: what a run of so many entities held at most, and how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder) / "project", DEFINITIONS)
        ids = "".join(f"entity-{number}\n" for number in range(size))
        project.klio("entities", "add", "--from-file", "-", entities=ids)
        watched = Watched()
        watched.start()
        started = time.perf_counter()
        project.klio("run")
        took = time.perf_counter() - started
        watched.stop()
        return [size, *(round(peak) for peak in watched.peaks_mb.values()), round(took, 1)]


if __name__ == "__main__":
    main()
