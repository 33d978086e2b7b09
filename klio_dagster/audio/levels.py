"""How loud a clip peaks, how much of it is clipped, and the ready-made checks of that."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from klio_dagster.audio.clip import AudioClip
from klio_dagster.core.check import Check, CheckResult, Severity
from klio_dagster.errors import ConfigError

_FULL_SCALE = 1 - 2**-15


def peak_dbfs(clip: AudioClip) -> float:
    """Level of the largest absolute sample in dBFS; -inf for silence or an empty clip.

    Source: AES17, sample peak, 0 dBFS = full scale 1.0.
    """
    peak = clip.peak
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def clipped_samples(clip: AudioClip) -> int:
    """How many samples lie beyond full scale, counted in all channels.

    A sample of exactly 1.0 or -1.0 is not clipped.
    """
    # Most clips have none, and their peak is found in a tenth of the time counting takes.
    return int(np.count_nonzero(np.abs(clip.samples) > 1)) if clip.peak > 1 else 0


def normalise_peak(clip: AudioClip, peak_dbfs: float = -1.0) -> AudioClip:
    """The clip scaled so that its largest absolute sample has this level; silence as it is.

    Args:
        clip: any number of channels; all are scaled alike.
        peak_dbfs: in dBFS, 0.0 = full scale.

    Returns:
        A clip of the same shape and rate.

    Raises:
        ConfigError: the level is not finite.
    """
    if not math.isfinite(peak_dbfs):
        raise ConfigError(
            f"peak_dbfs is {peak_dbfs}", where="normalise_peak", fix="use a level such as -1.0"
        )
    peak = clip.peak
    if peak == 0:
        return clip
    target = 10 ** (peak_dbfs / 20)
    # Two factors: with one, a clip that peaks near the smallest float would scale by infinity.
    return clip.with_samples(clip.samples / np.float32(peak) * np.float32(target))


def not_silent(threshold_dbfs: float = -60.0, *, severity: Severity = "blocking") -> Check:
    """A check for `AudioClip`s: some sample is louder than the threshold.

    The default is that of FFmpeg's `silencedetect`.

    Args:
        threshold_dbfs: in dBFS, 0.0 = full scale.
        severity: `blocking` or `warn`.

    Raises:
        ConfigError: the threshold is not finite.
    """
    return _check(check_not_silent, severity, threshold_dbfs=threshold_dbfs)


def not_clipped(most_overs: int = 0, *, severity: Severity = "blocking") -> Check:
    """A check for `AudioClip`s: no overs, or at most so many.

    An over is a run of three or more consecutive samples at full scale in a channel, as digital
    peak meters since Sony's PCM-1630 count it. Full scale begins at the largest sample of 16 bits,
    1 - 2 ** -15.

    Args:
        most_overs: in all channels together, >= 0.
        severity: `blocking` or `warn`.

    Raises:
        ConfigError: the number is negative.
    """
    return _check(check_not_clipped, severity, most_overs=most_overs)


def duration_between(
    least_s: float = 0.0, most_s: float | None = None, *, severity: Severity = "blocking"
) -> Check:
    """A check for `AudioClip`s: they last so long, both ends included.

    Args:
        least_s: seconds, >= 0.
        most_s: seconds, >= least_s; None for no limit.
        severity: `blocking` or `warn`.

    Raises:
        ConfigError: the limits are not finite, negative or crossed.
    """
    if most_s is not None and most_s < least_s:
        raise ConfigError(
            f"most_s is {most_s}, below least_s", where="duration_between", fix="swap them"
        )
    limits = {"least_s": least_s} | ({} if most_s is None else {"most_s": most_s})
    return _check(check_duration_between, severity, **limits)


def no_dc_offset(most_dbfs: float = -40.0, *, severity: Severity = "blocking") -> Check:
    """A check for `AudioClip`s: the mean of no channel is far from zero.

    Args:
        most_dbfs: level of the largest mean that passes, in dBFS; -40 is 1 % of full scale.
        severity: `blocking` or `warn`.

    Raises:
        ConfigError: the level is not finite.
    """
    return _check(check_no_dc_offset, severity, most_dbfs=most_dbfs)


def no_nan(*, severity: Severity = "blocking") -> Check:
    """A check for arrays and `AudioClip`s: every value is a number, neither NaN nor infinite.

    Args:
        severity: `blocking` or `warn`.
    """
    return _check(check_no_nan, severity)


def check_not_silent(clip: AudioClip, threshold_dbfs: float) -> CheckResult:
    """Some sample is louder than the threshold."""
    level = peak_dbfs(clip)
    return CheckResult(
        level > threshold_dbfs, {"peak_dbfs": level}, f"the peak is at {level:.1f} dBFS"
    )


def check_not_clipped(clip: AudioClip, most_overs: int) -> CheckResult:
    """There are not more overs than that."""
    overs = count_overs(clip)
    return CheckResult(overs <= most_overs, {"overs": overs}, f"{overs} overs")


def check_duration_between(
    clip: AudioClip, least_s: float, most_s: float | None = None
) -> CheckResult:
    """The clip lasts as long as it should."""
    duration_s = clip.duration_s
    passed = duration_s >= least_s and (most_s is None or duration_s <= most_s)
    return CheckResult(passed, {"duration_s": duration_s}, f"it lasts {duration_s:.3f} s")


def check_no_dc_offset(clip: AudioClip, most_dbfs: float) -> CheckResult:
    """The mean of each channel is small."""
    means = clip.samples.mean(axis=1, dtype=np.float64) if clip.frames else np.zeros(1)
    offset = float(np.abs(means).max())
    level = 20 * math.log10(offset) if offset > 0 else -math.inf
    return CheckResult(
        level <= most_dbfs,
        {"dc_offset": offset},
        f"the offset is {offset:.4f} of full scale, {level:.1f} dBFS",
    )


def check_no_nan(value: AudioClip | npt.NDArray[np.floating[Any]]) -> CheckResult:
    """Every value is finite."""
    numbers = value.samples if isinstance(value, AudioClip) else np.asarray(value)
    if numbers.dtype.kind not in "fc":
        return CheckResult(True)
    wrong = int(numbers.size - np.count_nonzero(np.isfinite(numbers)))
    return CheckResult(
        wrong == 0, {"not_finite": wrong}, f"{wrong} of {numbers.size} are no number"
    )


def count_overs(clip: AudioClip) -> int:
    """Runs of three or more consecutive samples at full scale, counted in all channels."""
    # Most clips have none, and their peak is found in a tenth of the time counting takes.
    if clip.peak < _FULL_SCALE:
        return 0
    at_full_scale = np.abs(clip.samples) >= _FULL_SCALE
    triples = at_full_scale[:, 2:] & at_full_scale[:, 1:-1] & at_full_scale[:, :-2]
    begins = triples[:, 1:] & ~triples[:, :-1]
    return int(np.count_nonzero(begins) + np.count_nonzero(triples[:, :1]))


def _check(function: Callable[..., CheckResult], severity: Severity, **params: float) -> Check:
    """The check that a function makes, named as users know it.

    Raises:
        ConfigError: a parameter is not finite, or negative where it counts something.
    """
    name = function.__name__.removeprefix("check_")
    for parameter, value in params.items():
        if not math.isfinite(value) or (value < 0 and not parameter.endswith("_dbfs")):
            raise ConfigError(
                f"{parameter} is {value}", where=name, fix="use a number in its range"
            )
    return Check(function, name=name, severity=severity, params=params)
