"""The frames of an MP3 that does not state its length.

libsndfile guesses it then from the first frame: too long by some frames at a constant bit rate,
and at a varying one so short that most of the recording is never decoded.

Source: ISO/IEC 11172-3, section 2.4.2.3, and 13818-3 for the lower sample rates.
"""

import os
from typing import BinaryIO, NamedTuple

_BITRATES_KBPS = {
    # (MPEG-1, layer): by the four bits of the header.
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_LENGTH_MARKS = (b"Xing", b"Info", b"VBRI")
_MARKS_WITHIN = 200


class _Frame(NamedTuple):
    """One frame: its bytes in the file, and the samples a channel in it."""

    length: int
    samples: int


class Counted(NamedTuple):
    """What walking from frame to frame finds.

    Args:
        samples: a channel, in whole frames.
        is_cut: the file ends inside a frame.
    """

    samples: int
    is_cut: bool


def counted(stream: BinaryIO) -> Counted | None:
    """The length of an MP3 as its frames have it.

    Args:
        stream: seekable; its position is the same afterwards.

    Returns:
        None where the file states its length, or cannot be walked through.
    """
    position = stream.tell()
    try:
        return _walk(stream, stream.seek(0, os.SEEK_END))
    finally:
        stream.seek(position)


def _walk(stream: BinaryIO, size: int) -> Counted | None:
    """Count the frames, unless the first one states how many there are."""
    at = _after_tag(stream)
    stream.seek(at)
    first = stream.read(_MARKS_WITHIN)
    if any(mark in first for mark in _LENGTH_MARKS):
        return None
    samples = 0
    while at < size:
        stream.seek(at)
        frame = _frame(stream.read(4))
        if frame is None:
            break  # a tag, or a free bit rate
        if at + frame.length > size:
            return Counted(samples, is_cut=True)
        at += frame.length
        samples += frame.samples
    return Counted(samples, is_cut=False) if samples else None


def _after_tag(stream: BinaryIO) -> int:
    """Where the first frame begins: after an ID3v2 tag, whose length has seven bits a byte."""
    stream.seek(0)
    head = stream.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size


def _frame(header: bytes) -> _Frame | None:
    """The frame with this header of four bytes; None if it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    is_mpeg1 = version == 3
    bits_a_second = _BITRATES_KBPS[is_mpeg1, layer][bitrate] * 1000
    rate_hz = _RATES_HZ[version][rate]
    if layer == 1:
        return _Frame((12 * bits_a_second // rate_hz + padding) * 4, 384)
    samples = 576 if layer == 3 and not is_mpeg1 else 1152
    return _Frame(samples // 8 * bits_a_second // rate_hz + padding, samples)
