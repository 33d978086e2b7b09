"""Encode a clip; the bytes depend on nothing but the clip and the options."""

import io
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from klio_dagster.audio import ogg
from klio_dagster.audio.clip import AudioClip, Samples, SourceInfo
from klio_dagster.audio.levels import clipped_samples
from klio_dagster.audio.read import read_audio, refuse_not_finite
from klio_dagster.errors import ConfigError, EntityError

if TYPE_CHECKING:
    import soundfile  # pyright: ignore[reportMissingTypeStubs]

AudioFormat = Literal["flac", "wav", "ogg"]
BitDepth = Literal[16, 24]

# FLAC's own default, 5 of 8. Lower ones cost a quarter less time and a tenth more space, higher
# ones gain 1 % of space for twice the time (8 s stereo at 44.1 kHz: 6.8, 8.9, 21.8 ms).
_FLAC_COMPRESSION: Final = 0.625
# libsndfile draws this number at random for every file; equal clips must give equal bytes.
_OGG_SERIAL: Final = 0x6B6C696F
# libvorbis takes its buffer from the stack: a long clip in one call ends the process.
_OGG_BLOCK_FRAMES: Final = 1 << 16
# Channels and Hz. Beyond these libsndfile refuses FLAC, and for Vorbis ends the process.
_HOLDS: Final = {"FLAC": (8, 655_350), "WAV": (1024, 2**31 - 1), "OGG": (255, 200_000)}


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded clip.

    Args:
        data: the file; equal clips give equal bytes, in every process.
        clip: what `read_audio(data)` gives, bit for bit.
        clipped_samples: how many samples lay beyond full scale and were cut off there.
    """

    data: bytes
    clip: AudioClip
    clipped_samples: int


def encode(clip: AudioClip, *, format: AudioFormat, bit_depth: BitDepth = 16) -> Encoded:  # noqa: A002 - the word of the domain
    """The clip as the bytes of a file.

    FLAC and WAV keep each sample as `round(sample * 2^(bit_depth - 1))`, ties to even, cut off
    at the largest and smallest integer. OGG is Vorbis at libsndfile's default quality and cuts
    nothing off.

    Args:
        clip: at least one frame, all samples finite.
        format: `flac`, `wav` or `ogg`.
        bit_depth: 16 or 24, for FLAC and WAV.

    Raises:
        ConfigError: the format or the bit depth is not one of those.
        EntityError: the clip is empty, has samples that are not finite, or more channels or
            another rate than the format can hold.
    """
    where = f"clip to write as {format}"
    if format not in get_args(AudioFormat):
        raise ConfigError(f"format is {format!r}", where="audio", fix="use flac, wav or ogg")
    if bit_depth not in get_args(BitDepth):
        raise ConfigError(f"bit_depth is {bit_depth!r}", where="audio", fix="use 16 or 24")
    if clip.frames == 0:
        raise EntityError("no samples in it", where=where, fix="return a clip with samples")
    refuse_not_finite(clip.samples, where)
    if format == "ogg":
        data = _vorbis(clip, where)
        return Encoded(data, read_audio(data, where=where), clipped_samples=0)
    canonical, integers = _quantised(clip.samples, bit_depth)
    container, subtype = format.upper(), f"PCM_{bit_depth}"
    stream = io.BytesIO()
    with _opened(stream, clip, container, subtype, where) as file:
        file.write(integers)
    return Encoded(
        stream.getvalue(),
        AudioClip(canonical, clip.sample_rate, SourceInfo(container, subtype, bit_depth)),
        clipped_samples(clip),
    )


def _quantised(
    samples: Samples, bit_depth: int
) -> tuple[Samples, npt.NDArray[np.int16] | npt.NDArray[np.int32]]:
    """What decoding gives, and the integers to write.

    Args:
        samples: float32, shape (channels, frames), finite.
        bit_depth: 16 or 24; float32 holds both exactly.

    Returns:
        Samples of the same shape, and integers of shape (frames, channels), those of 24 bit in
        the upper bits of int32 as libsndfile takes them.
    """
    full_scale = np.float32(1 << (bit_depth - 1))
    steps = samples * full_scale
    np.rint(steps, out=steps)
    np.clip(steps, -full_scale, full_scale - 1, out=steps)
    if bit_depth == 16:
        integers = np.ascontiguousarray(steps.astype(np.int16).T)
    else:
        integers = np.ascontiguousarray((steps.astype(np.int32) << 8).T)
    steps *= 1 / full_scale
    steps += np.float32(0)  # decoding knows no -0.0
    return steps, integers


def _vorbis(clip: AudioClip, where: str) -> bytes:
    """The clip as OGG/Vorbis with a fixed serial number."""
    stream = io.BytesIO()
    with _opened(stream, clip, "OGG", "VORBIS", where) as file:
        for first in range(0, clip.frames, _OGG_BLOCK_FRAMES):
            block = clip.samples[:, first : first + _OGG_BLOCK_FRAMES]
            file.write(np.ascontiguousarray(block.T))
    stream.seek(0)
    return ogg.with_serial(stream, _OGG_SERIAL)


@contextmanager
def _opened(
    stream: io.BytesIO, clip: AudioClip, container: str, subtype: str, where: str
) -> Generator["soundfile.SoundFile", None, None]:
    """A file in memory to write the clip's samples to.

    Raises:
        EntityError: the format cannot hold so many channels or this rate.
    """
    import soundfile  # pyright: ignore[reportMissingTypeStubs]

    refused = EntityError(
        f"{container} cannot hold {clip.channels} channels at {clip.sample_rate} Hz",
        where=where,
        fix="resample it, mix it down, or choose another format",
    )
    most_channels, highest_rate = _HOLDS[container]
    if clip.channels > most_channels or clip.sample_rate > highest_rate:
        raise refused
    compression = _FLAC_COMPRESSION if container == "FLAC" else None
    try:
        with soundfile.SoundFile(
            stream,
            "w",
            clip.sample_rate,
            clip.channels,
            subtype,
            format=container,
            compression_level=compression,
        ) as file:
            yield file
    except soundfile.LibsndfileError as error:
        raise refused from error
