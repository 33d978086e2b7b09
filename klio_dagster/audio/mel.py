"""The mel filter bank: which frequencies make a mel band."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from klio_dagster.audio.clip import Samples
from klio_dagster.audio.spectra import Grid
from klio_dagster.errors import ConfigError

# Slaney's scale: linear below 1 kHz, 15 mel; above, 27 mel for each factor of 6.4.
_HZ_PER_MEL = 200.0 / 3
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0

_BANDS_A_GROUP = 16


@lru_cache(maxsize=16)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Samples:
    """Weight of every frequency in every mel band; cached, read-only.

    Triangles of equal area from 0 Hz to half the sample rate. With more bands than the
    frequencies can tell apart some are zero throughout. Bit-identical to `librosa.filters.mel`,
    which builds it anew for every clip.

    Args:
        sample_rate: in Hz.
        n_fft: samples a frame.
        n_mels: bands, >= 1.

    Returns:
        float32, shape (n_mels, n_fft // 2 + 1).

    Raises:
        ConfigError: `n_mels` is below 1.

    Source: M. Slaney, Auditory Toolbox, Interval Research Technical Report 1998-010.
    """
    if n_mels < 1:
        raise ConfigError(f"n_mels is {n_mels}", where="mel filters", fix="use 1 or more")
    highest = _mel_of(sample_rate / 2)
    corners = _hz_of(np.linspace(0.0, highest, n_mels + 2))
    width = np.diff(corners)
    away = np.subtract.outer(corners, np.fft.rfftfreq(n_fft, 1.0 / sample_rate))
    rising = -away[:-2] / width[:-1, np.newaxis]
    falling = away[2:] / width[1:, np.newaxis]
    filters = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    # float32 times float64 in place, as librosa rounds it.
    filters *= (2.0 / (corners[2:] - corners[:-2]))[:, np.newaxis]
    filters.flags.writeable = False
    return filters


@dataclass(frozen=True, slots=True)
class BandGroup:
    """Neighbouring mel bands with the frequencies they need, and no others.

    Args:
        bands: which bands.
        bins: which frequencies.
        weights: float32, shape (bins, bands).
    """

    bands: slice
    bins: slice
    weights: Samples


@lru_cache(maxsize=16)
def band_groups(sample_rate: int, grid: Grid, n_mels: int) -> tuple[BandGroup, ...]:
    """The filter bank without nearly all of its zeros.

    98 of 100 weights are zero: in groups of 16 bands the matrix product does a seventh of the
    work, and rounds in another order.

    Raises:
        ConfigError: `n_mels` is below 1.
    """
    filters = mel_filters(sample_rate, grid.n_fft, n_mels)
    groups: list[BandGroup] = []
    for first in range(0, n_mels, _BANDS_A_GROUP):
        bands = slice(first, min(first + _BANDS_A_GROUP, n_mels))
        used = np.flatnonzero(filters[bands].any(axis=0))
        bins = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
        weights = np.ascontiguousarray(filters[bands, bins].T)
        weights.flags.writeable = False
        groups.append(BandGroup(bands, bins, weights))
    return tuple(groups)


def _mel_of(hz: float) -> float:
    """A frequency in mel."""
    if hz < _LOG_FROM_HZ:
        return hz / _HZ_PER_MEL
    return float(_LOG_FROM_MEL + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP)


def _hz_of(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mel as frequencies in Hz."""
    hz = _HZ_PER_MEL * mel
    logarithmic = mel >= _LOG_FROM_MEL
    hz[logarithmic] = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel[logarithmic] - _LOG_FROM_MEL))
    return hz
