"""Sounds and files the tests of this room share."""

import io
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from klio_dagster.audio.clip import AudioClip

TRACKS = sorted((Path(__file__).resolve().parents[2] / "demo" / "tracks").glob("*.flac"))
RATE = 44_100

clips = st.builds(
    AudioClip,
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 8), st.integers(1, 300)),
        elements=st.floats(-2.0, 2.0, width=32),
    ),
    st.sampled_from([8_000, 22_050, 44_100, 192_000]),
)


def noisy_tone(seconds: float = 1.0, channels: int = 2, rate: int = RATE) -> AudioClip:
    """Two decaying tones in noise, another one in each channel: nothing a codec can leave out."""
    random = np.random.default_rng(7)
    time_s = np.arange(round(seconds * rate)) / rate
    rows = [
        0.4 * np.sin(2 * np.pi * (220 + 110 * channel) * time_s) * np.exp(-time_s)
        + random.normal(0, 0.02, time_s.size)
        for channel in range(channels)
    ]
    return AudioClip(np.array(rows, np.float32), rate)


def file_of(clip: AudioClip, container: str, subtype: str | None = None) -> bytes:
    """The clip as libsndfile writes it, without any of ours."""
    stream = io.BytesIO()
    soundfile.write(stream, clip.samples.T, clip.sample_rate, format=container, subtype=subtype)
    return stream.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """What libsndfile decodes in one call, float32, shape (channels, frames)."""
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].T
