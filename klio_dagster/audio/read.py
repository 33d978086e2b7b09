"""Decode a recording, or a part of it, within limits; whatever is wrong with it is said once."""

import io
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from klio_dagster.audio import mpeg, ogg
from klio_dagster.audio.clip import AudioClip, Samples, SourceInfo, segment_frames
from klio_dagster.audio.completeness import damage
from klio_dagster.errors import ConfigError, EntityError

if TYPE_CHECKING:
    import soundfile  # pyright: ignore[reportMissingTypeStubs]

_SAMPLE_BYTES = 4  # float32
_VORBIS_BLOCK_FRAMES = 8192  # the largest the format knows
_BLOCK_SAMPLES = 1 << 16
_FIRST_SAMPLES = 1 << 22
_LENGTH_UNKNOWN = 1 << 60  # beyond it lies libsndfile's answer for a FLAC that does not say

_CONTAINERS = {
    ".wav": ("WAV", "WAVEX", "RF64"),
    ".flac": ("FLAC",),
    ".ogg": ("OGG",),
    ".oga": ("OGG",),
    ".opus": ("OGG",),
    ".mp3": ("MP3",),
}
_READABLE = frozenset(name for names in _CONTAINERS.values() for name in names)
_BIT_DEPTHS = {
    "PCM_S8": 8,
    "PCM_U8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "FLOAT": 32,
    "DOUBLE": 64,
}
_COMPLETE = "supply the complete file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """How much one call may decode.

    Args:
        max_duration_s: longest part that is decoded, in seconds, > 0.
        max_decoded_bytes: largest size of the decoded samples (float32, all channels), > 0.
    """

    max_duration_s: float = 4 * 3600.0
    max_decoded_bytes: int = 4 << 30

    def __post_init__(self) -> None:
        for name in ("max_duration_s", "max_decoded_bytes"):
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"{name} is {value}", where="ReadLimits", fix="use more than 0")


DEFAULT_LIMITS: Final = ReadLimits()


def read_audio(
    data: bytes | BinaryIO | str | os.PathLike[str],
    *,
    where: str,
    limits: ReadLimits = DEFAULT_LIMITS,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> AudioClip:
    """The recording, or a part of it, as float32 samples.

    WAV, FLAC, OGG (Vorbis, Opus) and MP3. PCM up to 24 bit is kept exactly. Memory grows with
    the samples that really come, so that a header cannot claim it.

    Args:
        data: the bytes of a file, a seekable binary stream, or a path.
        where: what is read, for the error message; if its name ends in a known suffix
            (`.flac`), the content must be of that kind.
        limits: how much may be decoded; a segment counts as long as it is itself.
        start_s: where the segment begins, seconds, rounded to the nearest frame.
        duration_s: its length in seconds; None goes on to the end. It may be shorter where the
            recording ends first.

    Returns:
        samples of shape (channels, frames), all finite, at the rate of the file.

    Raises:
        EntityError: no audio, of another kind than its name says, damaged, truncated, without
            samples, over a limit, with samples that are not finite, or a segment that starts
            after its end.
        ConfigError: `start_s` or `duration_s` is negative or not finite.
    """
    import soundfile  # pyright: ignore[reportMissingTypeStubs]

    with _opened(data, where) as stream, _sound_file(stream, where) as file:
        _refuse_wrong_kind(file, where)
        broken = damage(stream, file.format)
        if broken is not None:
            raise EntityError(
                f"the file is damaged or truncated: {broken}", where=where, fix=_COMPLETE
            )
        rate = file.samplerate
        promised = _promised(file, stream, where)
        first, wanted = _part(file, promised, start_s, duration_s, limits, where)
        try:
            _go_to(file, stream, first)
            samples = _decoded(file, wanted)
        except soundfile.LibsndfileError as error:
            raise EntityError(
                f"the file is damaged or truncated ({_reason(error)})", where=where, fix=_COMPLETE
            ) from error
        if samples.shape[1] < wanted:
            raise EntityError(
                f"the file is damaged or truncated: {samples.shape[1]} of {wanted} frames "
                "can be decoded",
                where=where,
                fix=_COMPLETE,
            )
        depth = _BIT_DEPTHS.get(file.subtype)
        source = SourceInfo(file.format, file.subtype, depth)
    if not source.subtype.startswith("PCM"):
        refuse_not_finite(samples, where)
    return AudioClip(samples, rate, source)


def refuse_not_finite(samples: Samples, where: str) -> None:
    """Refuse samples that are NaN or infinite.

    Args:
        samples: float32, any shape.
        where: the recording they belong to.

    Raises:
        EntityError: some are not finite; it says how many.
    """
    finite = np.isfinite(samples)
    if not finite.all():
        bad = samples.size - int(np.count_nonzero(finite))
        raise EntityError(
            f"{bad} of {samples.size} samples are not finite (NaN or infinite)",
            where=where,
            fix="supply a recording without them",
        )


def _opened(
    data: bytes | BinaryIO | str | os.PathLike[str], where: str
) -> AbstractContextManager[BinaryIO]:
    """The bytes as a seekable stream; one that came from outside stays open.

    Raises:
        EntityError: there is no such file.
    """
    if isinstance(data, bytes):
        return io.BytesIO(data)
    if isinstance(data, str | os.PathLike):
        try:
            return open(data, "rb")
        except OSError as error:
            raise EntityError(
                f"the file cannot be opened ({error.strerror})", where=where, fix="check the path"
            ) from error
    return nullcontext(data)


def _sound_file(stream: BinaryIO, where: str) -> "soundfile.SoundFile":
    """The stream opened for decoding.

    Raises:
        EntityError: it is empty or no audio.
    """
    import soundfile  # pyright: ignore[reportMissingTypeStubs]

    if stream.seek(0, os.SEEK_END) == 0:
        raise EntityError("the file is empty", where=where, fix=_COMPLETE)
    stream.seek(0)
    try:
        return soundfile.SoundFile(stream)
    except soundfile.LibsndfileError as error:
        raise EntityError(
            f"no audio that can be read ({_reason(error)})",
            where=where,
            fix="supply WAV, FLAC, OGG, Opus or MP3",
        ) from error


def _refuse_wrong_kind(file: "soundfile.SoundFile", where: str) -> None:
    """Refuse a container we do not promise to read, or not the one its name promises.

    Raises:
        EntityError: it is one of those.
    """
    if file.format not in _READABLE:
        raise EntityError(
            f"{file.format} is not read", where=where, fix="supply WAV, FLAC, OGG, Opus or MP3"
        )
    suffix = PurePosixPath(where).suffix.lower()
    if file.format not in _CONTAINERS.get(suffix, _READABLE):
        raise EntityError(
            f"the name says {suffix}, the content is {file.format}",
            where=where,
            fix="rename or convert it",
        )


def _promised(file: "soundfile.SoundFile", stream: BinaryIO, where: str) -> int:
    """Frames of the whole recording.

    Raises:
        EntityError: it has none, or does not say how many and cannot be asked.
    """
    if file.frames == 0:
        raise EntityError("no samples in it", where=where, fix="supply a recording")
    if file.frames >= _LENGTH_UNKNOWN:
        raise EntityError(
            "its header does not state the length (written to a pipe?)",
            where=where,
            fix="encode it again to a file",
        )
    length = mpeg.counted(stream) if file.format == "MP3" else None
    if length is None:
        return file.frames
    if length.samples > file.frames:
        raise EntityError(
            "an MP3 of varying bit rate that does not state its length",
            where=where,
            fix="write a header with `ffmpeg -i old.mp3 -c copy new.mp3`",
        )
    return length.samples


def _part(
    file: "soundfile.SoundFile",
    promised: int,
    start_s: float,
    duration_s: float | None,
    limits: ReadLimits,
    where: str,
) -> tuple[int, int]:
    """First frame and number of frames to decode.

    Raises:
        EntityError: it starts after the end, or the limits allow less.
        ConfigError: `start_s` or `duration_s` is negative or not finite.
    """
    rate = file.samplerate
    first, count = segment_frames(start_s, duration_s, rate)
    if first > 0 and first >= promised:
        raise EntityError(
            f"the segment starts at {start_s} s and the recording ends at {promised / rate} s",
            where=where,
            fix="start earlier",
        )
    left = promised - first
    wanted = left if count is None else min(count, left)
    size = wanted * file.channels * _SAMPLE_BYTES
    if wanted > limits.max_duration_s * rate or size > limits.max_decoded_bytes:
        raise EntityError(
            f"{wanted / rate:.1f} s to decode ({size} bytes), the limits are "
            f"{limits.max_duration_s:.1f} s and {limits.max_decoded_bytes} bytes",
            where=where,
            fix="read a segment or raise ReadLimits",
        )
    return first, wanted


def _go_to(file: "soundfile.SoundFile", stream: BinaryIO, first: int) -> None:
    """Make this frame the next that is decoded."""
    target = first
    if first and file.format == "OGG":
        # libvorbis misses a frame inside the last page by up to a block, for that page states
        # where the sound ends and not where its packets do. So enter before it, and decode on.
        position = stream.tell()
        ends = [page.granule for page in ogg.last_pages(stream)[:-1] if page.granule >= 0]
        stream.seek(position)
        target = min(first, max(0, max(ends, default=0) - _VORBIS_BLOCK_FRAMES))
    if target:
        file.seek(target)
    if target < first:
        _decoded(file, first - target)


def _decoded(file: "soundfile.SoundFile", wanted: int) -> Samples:
    """Up to `wanted` frames, shape (channels, frames); fewer where the file ends first."""
    channels = file.channels
    block = np.empty((max(1, _BLOCK_SAMPLES // channels), channels), np.float32)
    room = min(wanted, max(1, _FIRST_SAMPLES // channels))
    samples: Samples = np.empty((channels, room), np.float32)
    filled = 0
    while filled < wanted:
        asked = block[: min(len(block), wanted - filled)]
        got: Any = file.read(out=asked)
        end = filled + len(got)
        if end > samples.shape[1]:
            larger = np.empty((channels, min(wanted, 2 * end)), np.float32)
            larger[:, :filled] = samples[:, :filled]
            samples = larger
        samples[:, filled:end] = got.T
        filled = end
        if len(got) < len(asked):
            break
    return samples if filled == samples.shape[1] else samples[:, :filled].copy()


def _reason(error: "soundfile.LibsndfileError") -> str:
    """The words of libsndfile, without the name of a Python object in them."""
    return error.error_string.rstrip(". \n").removeprefix("Error : ")
