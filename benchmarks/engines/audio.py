"""The same 800 recordings on this machine, on Prism, and on Flink with one and two task managers.

The clips and the kernel are those of `real_audio` (decode -> mono -> mel + MFCC, about 17 ms); the
definitions differ in the engine alone. All of it shares two cores, the cluster included, so that no
engine can be faster here than the local one: what is shown is what its way costs.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import audio_jobs
from benchmarks.engines.held import Held
from benchmarks.project import ROOT, Project
from benchmarks.real_audio import make_clips
from benchmarks.report import report
from klio_dagster.engine.limits import worker_environment
from tests.services.flink import FlinkCluster
from tests.services.prism import Prism
from tests.services.started import worker_command

ROUNDS = 3
LOCAL = "local, 2 workers"
PLACES = (LOCAL, "Prism, 2 workers", "Flink, 1 task manager", "Flink, 2 task managers")
COLUMNS = [
    "engine", "clips/s", "min", "max", "to local", "run s", "first receipt s", "engine up s",
    "peak MB, all", "engine's programs MB", "workers MB",
]  # fmt: skip


@dataclass
class Measured:
    """What the rounds of an engine gave; seconds, and bytes at the peak."""

    clips_per_s: list[float] = field(default_factory=list)
    run_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    up_s: list[float] = field(default_factory=list)
    all_held: list[int] = field(default_factory=list)
    engine_held: list[int] = field(default_factory=list)
    workers_held: list[int] = field(default_factory=list)

    def row(self, name: str, local: float) -> list[object]:
        """Of the table."""
        speed = median(self.clips_per_s)
        held = (self.all_held, self.engine_held, self.workers_held)
        return [
            *(name, speed, min(self.clips_per_s), max(self.clips_per_s), speed / local),
            *(round(median(times), 1) for times in (self.run_s, self.first_s, self.up_s)),
            *(round(median(peaks) / 1e6) for peaks in held),
        ]


def main() -> None:
    """Let the engines take turns, and report."""
    os.environ.update(worker_environment(os.environ))  # one BLAS thread a process everywhere
    measured = {place: Measured() for place in PLACES}
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(Path(folder) / "clips")
        for _ in range(ROUNDS):
            for place in PLACES:
                measure(measured[place], place, clips, Path(folder) / "project")
    local = median(measured[LOCAL].clips_per_s)
    report("engines", [each.row(name, local) for name, each in measured.items()], columns=COLUMNS)


def measure(measured: Measured, place: str, clips: list[Path], folder: Path) -> None:
    """One run of all clips at a place: from the receipts' own times, and from outside."""
    shutil.rmtree(folder, ignore_errors=True)
    began = time.time()
    with Held() as held, engine_at(place, folder.parent) as engine:
        measured.up_s.append(time.time() - began)
        project = Project(folder, audio_jobs.definitions("shared", engine))
        tracks = folder / "data" / "clips"
        tracks.parent.mkdir(parents=True)
        tracks.symlink_to(clips[0].parent)
        project.klio("entities", "sync")
        began = time.time()
        project.klio("run")
        measured.run_s.append(time.time() - began)
    finished = sorted(each.finished_at for each in project.receipts() if each.asset == "mfcc")
    assert len(finished) == len(clips), "not all clips were computed"
    measured.first_s.append(finished[0] - began)
    measured.clips_per_s.append((len(finished) - 1) / (finished[-1] - finished[0]))
    measured.all_held.append(held.everything)
    measured.engine_held.append(held.engine)
    measured.workers_held.append(held.workers)


@contextmanager
def engine_at(place: str, folder: Path) -> Iterator[str]:
    """Start what a place needs; the engine as a project's definitions name it."""
    # By the installed command, with this checkout to import from.
    workers = f"worker={worker_command(folder)!r}, variables={{'PYTHONPATH': {str(ROOT)!r}}}"
    match place.split(","):
        case ["Prism", _]:
            with Prism() as prism:
                yield f"PrismEngine(job_endpoint={prism.endpoint!r}, workers=2, {workers})"
        case ["Flink", number]:
            slots = int(number.split()[0])
            with FlinkCluster(task_managers=slots) as flink, flink.job_server() as server:
                service = f"master={flink.master!r}, job_endpoint={server.endpoint!r}"
                yield f"FlinkEngine({service}, parallelism={slots}, {workers})"
        case _:
            yield "LocalEngine(workers=2)"


if __name__ == "__main__":
    main()
