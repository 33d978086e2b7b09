"""Whether a file is as long as it says and its pages are sound: what libsndfile does not ask.

libsndfile shortens a truncated WAV or OGG in silence, and bridges holes in an OGG. FLAC needs no
look here: its header states the number of frames, and decoding shows whether they come.
"""

import os
import struct
from typing import BinaryIO

from klio_dagster.audio import ogg

# What programs that write WAV to a pipe put where the length is not known yet (ffmpeg, SoX).
_WAV_UNKNOWN = (0xFFFFFFFF, 0x7FFFF000)


def damage(stream: BinaryIO, container: str, *, whole: bool) -> str | None:
    """What is missing or broken in a file; None if it is whole or its format does not say.

    Args:
        stream: seekable; its position is the same afterwards, for libsndfile counts on it.
        container: as libsndfile names it, `WAV` for instance.
        whole: all of it will be decoded: look at all of it.
    """
    position = stream.tell()
    size = stream.seek(0, os.SEEK_END)
    try:
        if container in ("WAV", "WAVEX", "RF64"):
            return _wav(stream, size)
        return _ogg(stream, whole) if container == "OGG" else None
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


def _ogg(stream: BinaryIO, whole: bool) -> str | None:
    """Look at every page, or for a segment only whether the last one is there."""
    if whole:
        stream.seek(0)
        return ogg.damage(stream)
    last = ogg.last_pages(stream)
    return None if last and last[-1].is_last else "its last page is missing or incomplete"
