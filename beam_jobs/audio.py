"""Transforms of the track catalogue: one track in, one value out, testable by calling them."""

import math
import warnings

import numpy as np
import numpy.typing as npt

from klio_dagster import AudioClip, Entity, Result
from klio_dagster.audio.levels import normalise_peak

N_FFT = 2048
HOP_FRAMES = 512
N_MFCC = 13
SILENCE_DBFS = -120.0
_NO_POWER_DB = -99.9  # librosa.power_to_db gives -100 for no power at all, or a rounding more

Mel = npt.NDArray[np.float32]


def normalise(entity: Entity, source: AudioClip) -> AudioClip:  # noqa: ARG001 - every transform gets its entity
    """The recording, scaled to a peak of -1 dBFS; silence stays as it is."""
    return normalise_peak(source, peak_dbfs=-1.0)


def mel_spectrogram(entity: Entity, recording: AudioClip, n_mels: int) -> Mel:  # noqa: ARG001
    """Mel spectrogram of the recording's mono mix, in decibels.

    Args:
        entity: the track.
        recording: any number of channels, at least one frame.
        n_mels: number of mel bands between 0 Hz and half the sample rate.

    Returns:
        float32, shape (n_mels, 1 + frames // 512): power of each band in dB, 0 dB = power 1.0,
        cut off 80 dB below the loudest and at -100 dB.
    """
    import librosa

    with warnings.catch_warnings():
        # A track shorter than one window is padded with silence, which is what it should be.
        warnings.filterwarnings("ignore", message="n_fft=.* is too large for input signal")
        power = librosa.feature.melspectrogram(
            y=recording.mono().samples[0],
            sr=recording.sample_rate,
            n_fft=N_FFT,
            hop_length=HOP_FRAMES,
            n_mels=n_mels,
        )
    return librosa.power_to_db(power).astype(np.float32, copy=False)


def features(entity: Entity, recording: AudioClip, mel: Mel) -> Result:
    """What the track sounds like as a whole: a table of one row, `schemas.Features`.

    Args:
        entity: the track.
        recording: any number of channels, at least one frame.
        mel: mel spectrogram of the recording in dB, shape (n_mels, frames).
    """
    import librosa
    import pandas as pd

    mfcc = librosa.feature.mfcc(S=mel, n_mfcc=N_MFCC).mean(axis=1, dtype=np.float64)
    row: dict[str, str | float] = {
        "entity": entity.id,
        "duration_s": recording.duration_s,
        "rms_dbfs": rms_dbfs(recording),
        "centroid_hz": centroid_hz(mel, recording.sample_rate),
    }
    shown = {name: round(float(value), 2) for name, value in row.items() if name != "entity"}
    row |= {f"mfcc_{number:02}": float(value) for number, value in enumerate(mfcc)}
    return Result(pd.DataFrame([row]), metadata=shown)


def rms_dbfs(clip: AudioClip) -> float:
    """Root mean square of all channels; 0 dB is a square wave at full scale, -120 silence."""
    power = float(np.mean(np.square(clip.samples, dtype=np.float64)))
    return max(10 * math.log10(power), SILENCE_DBFS) if power > 0 else SILENCE_DBFS


def centroid_hz(mel: Mel, sample_rate: int) -> float:
    """Mean frequency, weighted by power over the whole track; 0.0 for silence.

    Args:
        mel: mel spectrogram in dB, shape (n_mels, frames).
        sample_rate: in Hz.
    """
    import librosa

    band_power = np.where(mel > _NO_POWER_DB, 10 ** (mel.astype(np.float64) / 10), 0).sum(axis=1)
    total = float(band_power.sum())
    # librosa's bands are triangles between n_mels + 2 frequencies: the inner ones are their tops.
    tops_hz = librosa.mel_frequencies(n_mels=len(mel) + 2, fmax=sample_rate / 2)[1:-1]
    return float(band_power @ tops_hz) / total if total > 0 else 0.0
