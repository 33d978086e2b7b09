"""A chain with every codec in it, for tests of what is stored however it was computed."""

import json
from typing import Any

import numpy as np

from klio_dagster.audio.clip import AudioClip
from klio_dagster.core.entity import Entity


def made_clip(entity: Entity, source: bytes) -> AudioClip:
    """A noisy clip from `{"seed", "channels", "frames", "gain", "rate"}`; loud ones clip."""
    wanted = json.loads(source)
    noise = np.random.default_rng(wanted["seed"]).normal(
        0.0, wanted["gain"], (wanted["channels"], wanted["frames"])
    )
    return AudioClip(noise.astype(np.float32), wanted["rate"])


def louder(recording: AudioClip) -> AudioClip:
    return AudioClip(recording.samples * np.float32(1.7), recording.sample_rate)


def spectrum(recording: AudioClip) -> np.ndarray:
    return np.abs(np.fft.rfft(recording.samples, axis=1)).astype(np.float32).T


def statistics(spectrum: np.ndarray, louder: AudioClip) -> Any:
    import pandas as pd

    return pd.DataFrame(
        {
            "channel": np.arange(spectrum.shape[1]),
            "mean": spectrum.mean(axis=0),
            "peak": np.abs(louder.samples).max(axis=1),
        }
    )


def digest(entity: Entity, statistics: Any, louder: AudioClip) -> dict[str, Any]:
    return {
        "id": entity.id,
        "means": [float(mean) for mean in statistics["mean"]],
        "dtypes": [str(dtype) for dtype in statistics.dtypes],
        "energy": float(np.square(louder.samples, dtype=np.float64).sum()),
    }
