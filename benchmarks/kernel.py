"""Mel (128 bands) and MFCC (20) of a clip of 8 s at 44.1 kHz, beside librosa called twice."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.report import report
from klio_dagster.engine.limits import worker_environment

if TYPE_CHECKING:
    from klio_dagster.audio.clip import AudioClip

TRACKS = Path(__file__).resolve().parent.parent / "demo" / "tracks"
CLIPS = 6
SECONDS = 8
ROUNDS = 7


def clips() -> "list[AudioClip]":
    """Mono clips of 8 s, each a demo track played again until it is long enough."""
    import numpy as np

    from klio_dagster.audio.read import read_audio

    made: list[AudioClip] = []
    for path in sorted(TRACKS.glob("*.flac"))[:CLIPS]:
        track = read_audio(path, where=path.name).mono()
        frames = SECONDS * track.sample_rate
        made.append(track.with_samples(np.resize(track.samples, (1, frames))))
    return made


def ways() -> "Mapping[str, Callable[[AudioClip], object]]":
    """Name to function; the first is what the others are compared with."""
    import librosa

    from klio_dagster.audio.features import mel_and_mfcc

    def librosa_twice(clip: "AudioClip") -> object:
        y, sr = clip.samples[0], clip.sample_rate
        return librosa.feature.melspectrogram(y=y, sr=sr), librosa.feature.mfcc(y=y, sr=sr)

    def librosa_shared(clip: "AudioClip") -> object:
        mel = librosa.feature.melspectrogram(y=clip.samples[0], sr=clip.sample_rate)
        return mel, librosa.feature.mfcc(S=librosa.power_to_db(mel))

    return {
        "librosa, twice": librosa_twice,
        "librosa, MFCC from mel": librosa_shared,
        'precision="librosa"': mel_and_mfcc,
        'precision="float32"': lambda clip: mel_and_mfcc(clip, precision="float32"),
    }


def rows() -> list[list[object]]:
    """Medians over clips and rounds; the ways take turns, so that a busy moment hits all alike."""
    spent: dict[str, list[float]] = {}
    sounds, functions = clips(), ways()
    for name, function in functions.items():
        function(sounds[0])  # imports, filter banks, FFT plans
        spent[name] = []
    for _ in range(ROUNDS):
        for clip in sounds:
            for name, function in functions.items():
                started = time.process_time()
                function(clip)
                spent[name].append((time.process_time() - started) * 1000)
    baseline = median(next(iter(spent.values())))
    return [
        [name, median(times), min(times), max(times), baseline / median(times)]
        for name, times in spent.items()
    ]


def main() -> None:
    """Measure in the environment a worker has, BLAS on one thread included."""
    os.environ.update(worker_environment(os.environ))
    columns = ["mel + MFCC, ms of CPU a clip", "median", "min", "max", "times faster"]
    report("kernel", rows(), columns)


if __name__ == "__main__":
    main()
