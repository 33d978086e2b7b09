"""Integrated loudness by ITU-R BS.1770, and clips scaled to one."""

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from klio_dagster.audio.clip import AudioClip
from klio_dagster.errors import ConfigError

_OFFSET_LU = -0.691  # BS.1770: makes up for the gain of the K-weighting at 997 Hz
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_HOP_S = 0.1  # gating blocks of 400 ms, overlapping by 75 %
_HOPS_A_BLOCK = 4
_SHELF_HZ = 1681.974450955533
_SURROUND = 1.41  # weight of the channels beside and behind the listener
_AT_ONCE = 32  # samples that one row of the matrix product filters; slower from 64 on


def loudness_lufs(clip: AudioClip) -> float | None:
    """Integrated loudness of the whole clip, gated.

    Source: ITU-R BS.1770-5 annex 1. A mono clip counts as one channel: a full-scale sine of 997 Hz
    is -3.01 LUFS. Five channels are L R C Ls Rs, six have the LFE, which does not count, as the
    fourth; of other layouts all channels count alike.

    Args:
        clip: any number of channels, full scale 1.0.

    Returns:
        LUFS. None for what has no loudness: less than 400 ms, nothing above -70 LUFS, or a sample
        rate below 3,364 Hz, for which the weighting is not defined.
    """
    hop = round(_HOP_S * clip.sample_rate)
    hops = clip.frames // hop if hop else 0
    if hops < _HOPS_A_BLOCK or clip.sample_rate <= 2 * _SHELF_HZ:
        return None
    weighted = k_weighted(clip)[:, : hops * hop].reshape(clip.channels, hops, hop)
    energy = np.einsum("cht,cht->ch", weighted, weighted).astype(np.float64) / hop
    power = _channel_weights(clip.channels) @ energy
    blocks = np.convolve(power, np.full(_HOPS_A_BLOCK, 1 / _HOPS_A_BLOCK), mode="valid")
    loud = blocks[blocks > _power(_ABSOLUTE_GATE_LUFS)]
    if loud.size == 0:
        return None
    threshold = loud.mean() * 10 ** (_RELATIVE_GATE_LU / 10)
    return _OFFSET_LU + 10 * math.log10(float(loud[loud > threshold].mean()))


def normalise_loudness(
    clip: AudioClip, target_lufs: float = -23.0, *, most_peak_dbfs: float = -1.0
) -> AudioClip:
    """The clip scaled to a loudness, as far as its peak allows; without a loudness as it is.

    Source: EBU R 128 for the default of -23 LUFS. Its limit of -1 dBTP is for true peaks; ours is
    for samples.

    Args:
        clip: any number of channels; all are scaled alike.
        target_lufs: in LUFS.
        most_peak_dbfs: the largest absolute sample may have this level; what would go beyond stays
            quieter than the target.

    Returns:
        A clip of the same shape and rate.

    Raises:
        ConfigError: a level is not finite.
    """
    for name, level in (("target_lufs", target_lufs), ("most_peak_dbfs", most_peak_dbfs)):
        if not math.isfinite(level):
            raise ConfigError(
                f"{name} is {level}", where="normalise_loudness", fix="use a level such as -23.0"
            )
    loudness = loudness_lufs(clip)
    if loudness is None:
        return clip
    gain = 10 ** ((target_lufs - loudness) / 20)
    return clip.with_samples(
        clip.samples * np.float32(min(gain, 10 ** (most_peak_dbfs / 20) / clip.peak))
    )


def k_weighted(clip: AudioClip) -> npt.NDArray[np.float32]:
    """The samples as BS.1770 weighs them: a shelf for the head, a high pass for the low end.

    The recursive filter is computed in blocks: inside of a block as a product with the matrix of
    its impulse response, across blocks by two decaying sums, one for each pair of poles. 0.9 ms
    for 8 s at 44.1 kHz where `scipy.signal.sosfilt` takes 2.1 ms; equal to it within 1e-5.

    Args:
        clip: sample rate above 3,364 Hz.

    Returns:
        float32, shape (channels, at least the clip's frames): zeros follow the clip.
    """
    signal: Any = import_module("scipy.signal")
    blocked = _blocked(clip.sample_rate)
    samples = clip.samples
    missing = -clip.frames % _AT_ONCE
    if missing:
        samples = np.pad(samples, ((0, 0), (0, missing)))
    rows = samples.reshape(clip.channels, -1, _AT_ONCE)
    driven = rows @ blocked.into_past  # what each block adds to the sums, real and imaginary
    past = np.empty_like(driven)
    for number, decay in enumerate(blocked.decays):
        real, imaginary = 2 * number, 2 * number + 1
        added = driven[..., real] + 1j * driven[..., imaginary]
        summed = signal.lfilter([0, 1], [1, -decay], added, axis=-1)
        past[..., real], past[..., imaginary] = summed.real, summed.imag
    weighted = rows @ blocked.within
    weighted += past @ blocked.from_past
    return weighted.reshape(clip.channels, -1)


@dataclass(frozen=True, slots=True)
class _Blocked:
    """The filter for blocks of `_AT_ONCE` samples.

    Args:
        within: samples of a block to what they give in it, shape (n, n).
        into_past: samples of a block to real and imaginary part of each sum, shape (n, 4).
        from_past: the sums to what they give in the next block, shape (4, n).
        decays: of each sum from block to block.
    """

    within: npt.NDArray[np.float32]
    into_past: npt.NDArray[np.float32]
    from_past: npt.NDArray[np.float32]
    decays: tuple[complex, complex]


@lru_cache(maxsize=16)
def _blocked(sample_rate: int) -> _Blocked:
    """The impulse response is sum(residue * pole ** n) over the poles, for n > 0."""
    (shelf_b, shelf_a), (pass_b, pass_a) = k_weighting(sample_rate)
    numerator = np.convolve(shelf_b, pass_b)
    roots: Any = np.roots
    poles: npt.NDArray[np.complex128] = np.concatenate([roots(shelf_a), roots(pass_a)])
    upper = [
        complex(pole) for pole in poles if pole.imag > 0
    ]  # both pairs are complex at every rate: their Q is above 0.5
    n = np.arange(_AT_ONCE)
    response = np.zeros(_AT_ONCE)
    response[0] = numerator[0]
    into_past: list[npt.NDArray[np.floating[Any]]] = []
    from_past: list[npt.NDArray[np.floating[Any]]] = []
    decays: list[complex] = []
    for pole in upper:
        others = poles[poles != pole]
        residue = complex(np.polyval(numerator[::-1], 1 / pole) / np.prod(1 - others / pole))
        response[1:] += 2 * (residue * pole ** n[1:]).real
        ahead, behind = pole ** (_AT_ONCE - n), 2 * residue * pole**n
        into_past += [ahead.real, ahead.imag]
        from_past += [behind.real, -behind.imag]
        decays.append(pole**_AT_ONCE)
    lag = n[None, :] - n[:, None]
    return _Blocked(
        within=np.where(lag >= 0, response[np.maximum(lag, 0)], 0).astype(np.float32),
        into_past=np.array(into_past, np.float32).T.copy(),
        from_past=np.array(from_past, np.float32),
        decays=(decays[0], decays[1]),
    )


Section = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def k_weighting(sample_rate: int) -> tuple[Section, Section]:
    """The two filters of the K-weighting as (numerator, denominator) in powers of 1/z.

    BS.1770 gives coefficients for 48 kHz only. These are the analogue filters behind them, brought
    to a rate by the bilinear transform; at 48 kHz they are those of the standard within 1e-8.

    Args:
        sample_rate: in Hz, above 3,364.
    """
    gain_db, quality = 3.999843853973347, 0.7071752369554196
    k = math.tan(math.pi * _SHELF_HZ / sample_rate)
    high = 10 ** (gain_db / 20)
    middle = high**0.4996667741545416
    norm = 1 + k / quality + k * k
    shelf = (
        np.array(
            [
                high + middle * k / quality + k * k,
                2 * (k * k - high),
                high - middle * k / quality + k * k,
            ]
        )
        / norm,
        np.array([norm, 2 * (k * k - 1), 1 - k / quality + k * k]) / norm,
    )
    quality = 0.5003270373238773
    k = math.tan(math.pi * 38.13547087602444 / sample_rate)
    norm = 1 + k / quality + k * k
    high_pass = (
        np.array([1.0, -2.0, 1.0]),
        np.array([norm, 2 * (k * k - 1), 1 - k / quality + k * k]) / norm,
    )
    return shelf, high_pass


def _channel_weights(channels: int) -> npt.NDArray[np.float64]:
    weights = np.ones(channels)
    if channels == 5:
        weights[3:] = _SURROUND
    elif channels == 6:
        weights[3:] = 0, _SURROUND, _SURROUND
    return weights


def _power(loudness_lufs: float) -> float:
    return 10 ** ((loudness_lufs - _OFFSET_LU) / 10)
