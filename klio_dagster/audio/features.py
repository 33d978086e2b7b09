"""Mel spectrogram and MFCC: librosa's bits without its detours, or float32 at twice the speed.

| 8 s at 44.1 kHz, mel and MFCC | against librosa called twice |
|---|---|
| `precision="librosa"` | bit-identical |
| `precision="float32"` | mel within 1e-6 of its maximum, MFCC within 5e-3, for recordings |
"""

from typing import Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from klio_dagster.audio.clip import AudioClip, Samples
from klio_dagster.audio.mel import band_groups, mel_filters
from klio_dagster.audio.spectra import Grid, Precision, power_blocks, power_spectrum
from klio_dagster.errors import ConfigError

_LEAST_POWER: Final = 1e-10
_DYNAMIC_RANGE_DB: Final = 80.0


class MelAndMfcc(NamedTuple):
    """Two features from one spectrum.

    Args:
        mel: float32, shape (n_mels, frames), power.
        mfcc: float32, shape (n_mfcc, frames).
    """

    mel: Samples
    mfcc: Samples


def mel_spectrogram(
    clip: AudioClip,
    *,
    n_mels: int = 128,
    n_fft: int = 2048,
    hop_length: int = 512,
    precision: Precision = "librosa",
) -> Samples:
    """Power in mel bands, as `librosa.feature.melspectrogram` computes it.

    Args:
        clip: mono or any number of channels, at least one sample; `clip.mono()` mixes down.
        n_mels: mel bands from 0 Hz to half the sample rate, >= 1.
        n_fft: samples a frame, >= 2.
        hop_length: samples from one frame to the next, >= 1.
        precision: `librosa` for its bits, `float32` for speed, within 1e-6 of the maximum.

    Returns:
        float32 power, shape (n_mels, frames) for a mono clip, else (channels, n_mels, frames),
        where frames is `1 + clip.frames // hop_length` for an even `n_fft`.

    Raises:
        ConfigError: a number is too small, or the precision is unknown.
        EntityError: the clip is empty.

    Source: see `mel.mel_filters` and `spectra.power_spectrum`.
    """
    grid = Grid(n_fft=n_fft, hop_length=hop_length, precision=precision)
    if precision == "float32":
        mel = _mel_in_float32(clip, grid, n_mels)
        return mel[0] if clip.channels == 1 else mel
    filters = mel_filters(clip.sample_rate, n_fft, n_mels)
    power = power_spectrum(clip, grid).power
    # The very call librosa makes: how a matrix product rounds depends on its shape and layout.
    return np.einsum(
        "...ft,mf->...mt", power[0] if clip.channels == 1 else power, filters, optimize=True
    )


def mfcc(
    clip: AudioClip,
    *,
    n_mfcc: int = 20,
    n_mels: int = 128,
    n_fft: int = 2048,
    hop_length: int = 512,
    precision: Precision = "librosa",
) -> Samples:
    """Mel-frequency cepstral coefficients, as `librosa.feature.mfcc` computes them.

    Where the mel spectrogram is at hand, `mfcc_of_mel` gives the same at a thirtieth of the time.

    Args:
        clip: mono or any number of channels, at least one sample.
        n_mfcc: coefficients, 1 to `n_mels`.
        n_mels: mel bands, >= 1.
        n_fft: samples a frame, >= 2.
        hop_length: samples from one frame to the next, >= 1.
        precision: `librosa` for its bits, `float32` for speed, within 5e-3.

    Returns:
        float32, shape (n_mfcc, frames) for a mono clip, else (channels, n_mfcc, frames).

    Raises:
        ConfigError: a number is out of range, or the precision is unknown.
        EntityError: the clip is empty.
    """
    mel = mel_spectrogram(
        clip, n_mels=n_mels, n_fft=n_fft, hop_length=hop_length, precision=precision
    )
    return mfcc_of_mel(mel, n_mfcc=n_mfcc)


def mel_and_mfcc(
    clip: AudioClip,
    *,
    n_mels: int = 128,
    n_mfcc: int = 20,
    n_fft: int = 2048,
    hop_length: int = 512,
    precision: Precision = "librosa",
) -> MelAndMfcc:
    """Both features from one spectrum: the bits of `mel_spectrogram` and `mfcc`.

    Args:
        clip: mono or any number of channels, at least one sample.
        n_mels: mel bands, >= 1.
        n_mfcc: coefficients, 1 to `n_mels`.
        n_fft: samples a frame, >= 2.
        hop_length: samples from one frame to the next, >= 1.
        precision: `librosa` for its bits, `float32` for speed.

    Raises:
        ConfigError: a number is out of range, or the precision is unknown.
        EntityError: the clip is empty.
    """
    mel = mel_spectrogram(
        clip, n_mels=n_mels, n_fft=n_fft, hop_length=hop_length, precision=precision
    )
    return MelAndMfcc(mel, mfcc_of_mel(mel, n_mfcc=n_mfcc))


def mfcc_of_mel(mel: npt.NDArray[np.floating[Any]], *, n_mfcc: int = 20) -> Samples:
    """Mel-frequency cepstral coefficients of a mel spectrogram.

    Args:
        mel: power, shape (..., n_mels, frames).
        n_mfcc: coefficients, 1 to `n_mels`.

    Returns:
        The same dtype, C-contiguous, shape (..., n_mfcc, frames).

    Raises:
        ConfigError: `n_mfcc` is out of range.

    Source: orthonormal DCT-II of the level in dB, Davis and Mermelstein 1980.
    """
    from scipy import fft  # pyright: ignore[reportMissingTypeStubs]

    n_mels = mel.shape[-2]
    if not 1 <= n_mfcc <= n_mels:
        raise ConfigError(f"n_mfcc is {n_mfcc}", where="mfcc", fix=f"use 1 to n_mels, {n_mels}")
    level = power_to_db(mel)
    cepstrum: Samples = cast("Any", fft).dct(level, axis=-2, type=2, norm="ortho")
    return np.ascontiguousarray(cepstrum[..., :n_mfcc, :])


def power_to_db(power: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Power as a level in dB, no lower than 80 dB below its maximum.

    Bit-identical to `librosa.power_to_db(power)`.

    Args:
        power: any shape with at least one element; less than 1e-10 counts as 1e-10.

    Returns:
        Level in dB relative to a power of 1.0, same shape and dtype.
    """
    level = 10.0 * np.log10(np.maximum(_LEAST_POWER, power))
    return np.maximum(level, level.max() - _DYNAMIC_RANGE_DB, out=level)


def _mel_in_float32(clip: AudioClip, grid: Grid, n_mels: int) -> Samples:
    """The mel spectrogram block by block, shape (channels, n_mels, frames)."""
    groups = band_groups(clip.sample_rate, grid, n_mels)
    mel: Samples = np.empty((clip.channels, n_mels, grid.frames(clip.frames)), np.float32)
    for channel in range(clip.channels):
        for first, power in power_blocks(clip.samples[channel], grid):
            frames = slice(first, first + len(power))
            for group in groups:
                mel[channel, group.bands, frames] = (power[:, group.bins] @ group.weights).T
    return mel
