"""Whether a file is as long as it says and its pages are sound: what libsndfile does not ask.

libsndfile shortens a truncated WAV or OGG in silence, and bridges holes in an OGG. FLAC, and an MP3
that states its length, need no look here: decoding shows whether all frames come.
"""

import os
import struct
from typing import BinaryIO

from klio_dagster.audio import mpeg, ogg

# What programs that write WAV to a pipe put where the length is not known yet (ffmpeg, SoX).
_WAV_UNKNOWN = (0xFFFFFFFF, 0x7FFFF000)


def damage(stream: BinaryIO, container: str) -> str | None:
    """What is missing or broken in a file; None if it is whole or its format does not say.

    Args:
        stream: seekable; its position is the same afterwards, for libsndfile counts on it.
        container: as libsndfile names it, `WAV` for instance.
    """
    position = stream.tell()
    size = stream.seek(0, os.SEEK_END)
    try:
        if container in ("WAV", "WAVEX", "RF64"):
            return _wav(stream, size)
        if container == "OGG":
            return _ogg(stream)
        return _mp3(stream) if container == "MP3" else None
    finally:
        stream.seek(position)


def _wav(stream: BinaryIO, size: int) -> str | None:
    """Follow the chunks to the samples. Source: RIFF/WAVE; RF64 in ITU-R BS.2088."""
    samples_in_ds64: int | None = None
    position = 12
    while position + 8 <= size:
        stream.seek(position)
        name, length = struct.unpack("<4sI", stream.read(8))
        if name == b"ds64":
            samples_in_ds64 = struct.unpack("<8xQ", stream.read(16).ljust(16, b"\0"))[0]
        if name == b"data":
            promised = length if samples_in_ds64 is None else samples_in_ds64
            present = size - position - 8
            if length in _WAV_UNKNOWN and samples_in_ds64 is None:
                return None
            if promised > present:
                return f"its header promises {promised} bytes of samples, {present} are there"
            return None
        position += 8 + length + length % 2
    return "it ends before its samples begin"


def _ogg(stream: BinaryIO) -> str | None:
    """Look at every page."""
    stream.seek(0)
    return ogg.damage(stream)


def _mp3(stream: BinaryIO) -> str | None:
    """See whether the last frame is whole, where no header states how many there are."""
    length = mpeg.counted(stream)
    return "its last frame is incomplete" if length is not None and length.is_cut else None
