"""Real audio through the whole path, beside a plain process pool with the same function.

800 clips of 8 s, made from the demo's recordings in several formats: decode -> mono -> mel + MFCC
-> two .npy, with two kernels (see `audio_jobs`). Both sides use two processes; the window is first
to last finished clip, five alternating rounds. The plain pool records nothing; ours writes
receipts, pictures and Dagster's ledger, on the same two cores.
"""

import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import audio_jobs
from benchmarks.project import Project
from benchmarks.report import report
from klio_dagster.engine.limits import worker_environment

CLIPS = 800
CLIP_S = 8
ROUNDS = 5
WORKERS = 2
WARMED = 20


def main() -> None:
    """Run both sides and report the ratio."""
    os.environ.update(worker_environment(os.environ))  # one BLAS thread a process on both sides
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(Path(folder) / "clips")
        rows = [
            row for kernel in ("shared", "twice") for row in compared(clips, Path(folder), kernel)
        ]
    columns = ["clips/s", "median", "min", "max", "ratio of medians"]
    report("real_audio", rows, columns=columns)


def compared(clips: list[Path], folder: Path, kernel: audio_jobs.Kernel) -> list[list[Any]]:
    """A row for the plain pool and one for us."""
    ours: list[float] = []
    plain: list[float] = []
    for _ in range(ROUNDS):
        plain.append(plain_pool(clips, folder / "plain", kernel))
        ours.append(whole_path(clips, folder / "project", kernel))
    milliseconds = 1000 * WORKERS / median(plain)
    name = f"{kernel}, {milliseconds:.0f} ms"
    ratio = median(ours) / median(plain)
    return [
        [f"{name}: plain process pool", median(plain), min(plain), max(plain), 1.0],
        [f"{name}: klio-dagster", median(ours), min(ours), max(ours), ratio],
    ]


def make_clips(folder: Path) -> list[Path]:
    """Clips of 8 s at 44.1 kHz, a third each of WAV, FLAC and OGG, mono and stereo."""
    import soundfile

    folder.mkdir(parents=True)
    recordings = sorted((Path(__file__).parent.parent / "demo" / "tracks").glob("*.flac"))
    kinds = [("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS")]
    paths: list[Path] = []
    for number in range(CLIPS):
        samples, _ = soundfile.read(recordings[number % len(recordings)], always_2d=True)
        frames = CLIP_S * 44100
        turned = np.roll(samples, number * 997, axis=0)  # no two clips are equal
        clip = np.resize(turned, (frames, samples.shape[1]))
        kind, subtype = kinds[number % len(kinds)]
        if number % 2:
            clip = clip.mean(axis=1, keepdims=True)
        path = folder / f"clip-{number:04}.{kind}"
        soundfile.write(path, clip * 0.9, 44100, subtype=subtype)
        paths.append(path)
    return paths


def plain_pool(clips: list[Path], target: Path, kernel: audio_jobs.Kernel) -> float:
    """Clips a second of a warmed `ProcessPoolExecutor`."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        jobs = [(str(clip), str(target), kernel) for clip in clips]
        list(pool.map(audio_jobs.plain, jobs[:WARMED]))
        done: list[float] = []
        futures = [pool.submit(audio_jobs.plain, job) for job in jobs]
        for future in as_completed(futures):
            future.result()
            done.append(time.perf_counter())
    return (len(done) - 1) / (done[-1] - done[0])


def whole_path(clips: list[Path], folder: Path, kernel: audio_jobs.Kernel) -> float:
    """Clips a second of a Dagster run, from the receipts' own times."""
    shutil.rmtree(folder, ignore_errors=True)
    project = Project(folder, audio_jobs.definitions(kernel))
    tracks = folder / "data" / "clips"
    tracks.parent.mkdir(parents=True, exist_ok=True)
    tracks.symlink_to(clips[0].parent)
    project.klio("entities", "sync")
    project.klio("run")
    finished = sorted(
        receipt.finished_at for receipt in project.receipts() if receipt.asset == "mfcc"
    )
    assert len(finished) == len(clips)
    return (len(finished) - 1) / (finished[-1] - finished[0])


if __name__ == "__main__":
    main()
