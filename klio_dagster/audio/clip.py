"""`AudioClip`: samples, their sample rate, and what kind of file they came from."""

import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from klio_dagster.errors import ConfigError

Samples = npt.NDArray[np.float32]

_HASHED_SAMPLES = 16


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What kind of file a clip was decoded from.

    Args:
        format: the container, as libsndfile names it: `FLAC`, `WAV`, `OGG`, `MP3`.
        subtype: the encoding in it: `PCM_24`, `VORBIS`, `MPEG_LAYER_III`.
        bit_depth: bits a sample for PCM and floating point; None for lossy encodings.
    """

    format: str
    subtype: str
    bit_depth: int | None


@dataclass(frozen=True, slots=True, eq=False)
class AudioClip:
    """A sound: one row of samples a channel.

    Two clips are equal if they sound the same: equal samples at an equal rate, whatever file
    they came from.

    Args:
        samples: shape (channels, frames) or, for a mono clip, (frames,); floating point, full
            scale 1.0. Kept as float32, C-contiguous and read-only: every transform that gets
            this clip sees the same samples. An array that is float32 and contiguous already
            is not copied.
        sample_rate: frames a second, in Hz, > 0.
        source: what the clip was decoded from; None for a computed one.

    Raises:
        ConfigError: samples are no floating-point array of one or two dimensions, have no
            channel, or the rate is not a positive whole number.
    """

    samples: Samples
    sample_rate: int
    source: SourceInfo | None = field(default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", _read_only(self.samples))
        object.__setattr__(self, "sample_rate", _rate(self.sample_rate))

    @property
    def channels(self) -> int:
        """Number of channels, >= 1."""
        return self.samples.shape[0]

    @property
    def frames(self) -> int:
        """Samples a channel, >= 0."""
        return self.samples.shape[1]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    @property
    def peak(self) -> float:
        """Largest absolute sample, full scale 1.0; 0.0 for an empty clip."""
        if self.samples.size == 0:
            return 0.0
        return max(float(self.samples.max()), -float(self.samples.min()), 0.0)

    def mono(self) -> "AudioClip":
        """The mean of all channels, shape (1, frames); the clip itself if it has one channel.

        Bit-identical to `librosa.to_mono`.
        """
        if self.channels == 1:
            return self
        return self.with_samples(self.samples.mean(axis=0, dtype=np.float32))

    def segment(self, start_s: float, duration_s: float | None = None) -> "AudioClip":
        """The part that starts at a time; shorter than asked for where the clip ends first.

        Args:
            start_s: seconds from the beginning, >= 0, rounded to the nearest frame.
            duration_s: seconds, >= 0, rounded to the nearest frame; None goes on to the end.

        Returns:
            A copy of that part; without frames if it starts after the end.

        Raises:
            ConfigError: a time is negative or not finite.
        """
        first, count = segment_frames(start_s, duration_s, self.sample_rate)
        last = None if count is None else first + count
        return self.with_samples(self.samples[:, first:last].copy())

    def with_samples(self, samples: npt.NDArray[np.floating[Any]]) -> "AudioClip":
        """Other samples at the same rate, from the same source.

        Args:
            samples: shape (channels, frames) or (frames,), floating point, full scale 1.0.

        Raises:
            ConfigError: samples are no floating-point array of one or two dimensions.
        """
        return AudioClip(samples.astype(np.float32, copy=False), self.sample_rate, self.source)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AudioClip):
            return NotImplemented
        return self.sample_rate == other.sample_rate and np.array_equal(self.samples, other.samples)

    def __hash__(self) -> int:
        # A few samples tell clips apart well enough, and cost nothing for an hour of audio.
        step = max(1, self.samples.size // _HASHED_SAMPLES)
        return hash((self.sample_rate, self.samples.shape, *self.samples.ravel()[::step].tolist()))

    def __reduce__(self) -> tuple[type["AudioClip"], tuple[Samples, int, SourceInfo | None]]:
        # Through the constructor: a copy that comes out of another process is read-only too.
        return AudioClip, (self.samples, self.sample_rate, self.source)

    def __repr__(self) -> str:
        kind = f", {self.source.format} {self.source.subtype}" if self.source else ""
        return f"AudioClip({self.duration_s:.3f} s, {self.channels} x {self.sample_rate} Hz{kind})"


def segment_frames(
    start_s: float, duration_s: float | None, sample_rate: int
) -> tuple[int, int | None]:
    """First frame and number of frames of a segment given in seconds.

    Args:
        start_s: seconds from the beginning, >= 0.
        duration_s: seconds, >= 0; None goes on to the end.
        sample_rate: in Hz.

    Raises:
        ConfigError: a time is negative or not finite.
    """
    for name, seconds in (("start_s", start_s), ("duration_s", duration_s)):
        if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
            raise ConfigError(f"{name} is {seconds}", where="audio segment", fix="use 0 or more")
    count = None if duration_s is None else round(duration_s * sample_rate)
    return round(start_s * sample_rate), count


def _read_only(samples: npt.NDArray[Any]) -> Samples:
    """The samples as a read-only, C-contiguous float32 array of shape (channels, frames).

    Raises:
        ConfigError: they are no floating-point array of one or two dimensions.
    """
    # The static type is no protection here: the value comes from a user's transform.
    dtype = getattr(samples, "dtype", None)
    if dtype is None or dtype.kind != "f":
        raise ConfigError(
            f"samples are {dtype or type(samples).__name__}, not floating point",
            where="AudioClip",
            fix="divide integers by their full scale, 32768 for 16 bit, and pass a float32 array",
        )
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[0] == 0):
        raise ConfigError(
            f"samples have shape {samples.shape}",
            where="AudioClip",
            fix="pass an array of shape (channels, frames) or (frames,)",
        )
    view = np.ascontiguousarray(np.atleast_2d(samples), dtype=np.float32).view()
    view.flags.writeable = False
    return view


def _rate(sample_rate: object) -> int:
    """The sample rate as a plain int.

    Raises:
        ConfigError: it is not a positive whole number.
    """
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int | np.integer):
        raise ConfigError(
            f"sample_rate is {sample_rate!r}", where="AudioClip", fix="use a whole number of Hz"
        )
    rate = int(cast("int", sample_rate))
    if rate <= 0:
        raise ConfigError(f"sample_rate is {sample_rate}", where="AudioClip", fix="use 1 or more")
    return rate
