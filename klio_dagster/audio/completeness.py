"""Whether a file ends where its own header says: what libsndfile does not ask.

libsndfile shortens a truncated WAV, OGG or headerless MP3 in silence. FLAC needs no look here:
its header states the number of frames, and decoding shows whether they come.
"""

import os
import struct
from collections.abc import Callable
from typing import BinaryIO

# What programs that write WAV to a pipe put where the length is not known yet (ffmpeg, SoX).
_WAV_UNKNOWN = (0xFFFFFFFF, 0x7FFFF000)
_OGG_HEADER = 27
_OGG_LARGEST_PAGE = _OGG_HEADER + 255 + 255 * 255
_OGG_LAST_PAGE = 0x04


def missing_end(stream: BinaryIO, container: str) -> str | None:
    """What is missing at the end of a file; None if it is whole or does not say.

    Args:
        stream: seekable; its position is the same afterwards, for libsndfile counts on it.
        container: as libsndfile names it, `WAV` for instance.
    """
    look = _LOOKS.get(container)
    if look is None:
        return None
    position = stream.tell()
    missing = look(stream, stream.seek(0, os.SEEK_END))
    stream.seek(position)
    return missing


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


def _ogg(stream: BinaryIO, size: int) -> str | None:
    """Find the page that ends where the file ends. Source: RFC 3533, section 6."""
    start = max(0, size - _OGG_LARGEST_PAGE)
    stream.seek(start)
    tail = stream.read()
    at = tail.rfind(b"OggS")
    while at >= 0:
        header = tail[at : at + _OGG_HEADER]
        if len(header) == _OGG_HEADER:
            body = tail[at + _OGG_HEADER :]
            length = header[26] + sum(body[: header[26]])
            if length == len(body):
                return None if header[5] & _OGG_LAST_PAGE else "its last page is missing"
        at = tail.rfind(b"OggS", 0, at)
    return "its last page is incomplete"


_LOOKS: dict[str, Callable[[BinaryIO, int], str | None]] = {
    "WAV": _wav,
    "WAVEX": _wav,
    "RF64": _wav,
    "OGG": _ogg,
}
