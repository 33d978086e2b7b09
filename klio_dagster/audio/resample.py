"""Another sample rate, another number of channels."""

import numpy as np

from klio_dagster.audio.clip import AudioClip
from klio_dagster.errors import ConfigError, EntityError


def resample(clip: AudioClip, sample_rate: int) -> AudioClip:
    """The clip at another sample rate; the clip itself if it has that rate.

    Args:
        clip: any number of channels.
        sample_rate: in Hz, > 0.

    Returns:
        A clip of about `clip.frames * sample_rate / clip.sample_rate` frames.

    Raises:
        ConfigError: the rate is not positive.

    Source: libsoxr at its quality HQ, what librosa calls `soxr_hq`.
    """
    if sample_rate <= 0:
        raise ConfigError(f"sample_rate is {sample_rate}", where="resample", fix="use 1 or more")
    if sample_rate == clip.sample_rate:
        return clip
    import soxr  # pyright: ignore[reportMissingTypeStubs]

    frames_first = np.ascontiguousarray(clip.samples.T)
    resampled = soxr.resample(frames_first, clip.sample_rate, sample_rate, quality="HQ")
    return AudioClip(np.ascontiguousarray(resampled.T), sample_rate, clip.source)


def to_mono(clip: AudioClip) -> AudioClip:
    """The mean of all channels, shape (1, frames); the clip itself if it has one channel."""
    return clip.mono()


def to_stereo(clip: AudioClip) -> AudioClip:
    """Two channels: a mono clip in both of them, a stereo clip itself.

    Raises:
        EntityError: the clip has more than two channels: which go where is not known here.
    """
    if clip.channels == 2:
        return clip
    if clip.channels > 2:
        raise EntityError(
            f"{clip.channels} channels", where="to_stereo", fix="choose two, or mix to mono first"
        )
    return clip.with_samples(np.repeat(clip.samples, 2, axis=0))
