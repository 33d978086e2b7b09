"""Transforms of the track catalogue: one track in, one value out, testable by calling them."""

import math

import numpy as np
import numpy.typing as npt

from klio_dagster import AudioClip, Entity, Result
from klio_dagster.audio import features as spectral
from klio_dagster.audio.levels import normalise_peak
from klio_dagster.audio.spectra import power_spectrum

N_MFCC = 13
SILENCE_DBFS = -120.0

Mel = npt.NDArray[np.float32]


def normalise(entity: Entity, source: AudioClip) -> AudioClip:  # noqa: ARG001 - asked for, not used
    """The recording, scaled to a peak of -1 dBFS; silence stays as it is."""
    return normalise_peak(source, peak_dbfs=-1.0)


def mel_spectrogram(entity: Entity, recording: AudioClip, n_mels: int) -> Mel:  # noqa: ARG001
    """Mel spectrogram of the recording's mono mix.

    Args:
        entity: the track.
        recording: any number of channels, at least one frame.
        n_mels: mel bands from 0 Hz to half the sample rate.

    Returns:
        float32 power, shape (n_mels, 1 + frames // 512).
    """
    return spectral.mel_spectrogram(recording.mono(), n_mels=n_mels)


def features(entity: Entity, recording: AudioClip, mel: Mel) -> Result:
    """What the track sounds like as a whole: a table of one row, `schemas.Features`.

    Args:
        entity: the track.
        recording: any number of channels, at least one frame.
        mel: mel spectrogram of the recording, power, shape (n_mels, frames).
    """
    import pandas as pd

    measured = {
        "duration_s": recording.duration_s,
        "rms_dbfs": rms_dbfs(recording),
        "centroid_hz": centroid_hz(recording),
    }
    mfcc = spectral.mfcc_of_mel(mel, n_mfcc=N_MFCC).mean(axis=1, dtype=np.float64)
    timbre = {f"mfcc_{number:02}": float(mean) for number, mean in enumerate(mfcc)}
    return Result(
        pd.DataFrame([{"entity": entity.id, **measured, **timbre}]),
        metadata={name: round(value, 2) for name, value in measured.items()},
    )


def rms_dbfs(clip: AudioClip) -> float:
    """Root mean square of all channels; 0 dB is a square wave at full scale, -120 silence."""
    power = float(np.mean(np.square(clip.samples, dtype=np.float64)))
    return max(10 * math.log10(power), SILENCE_DBFS) if power > 0 else SILENCE_DBFS


def centroid_hz(clip: AudioClip) -> float:
    """Mean frequency of the mono mix, weighted by power over the whole clip; 0.0 for silence."""
    spectrum = power_spectrum(clip.mono())
    power = spectrum.power[0].sum(axis=1, dtype=np.float64)
    frequencies_hz = np.fft.rfftfreq(spectrum.grid.n_fft, 1 / clip.sample_rate)
    total = float(power.sum())
    return float(power @ frequencies_hz) / total if total > 0 else 0.0
