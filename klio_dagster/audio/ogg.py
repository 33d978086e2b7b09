"""The pages of an OGG file: whether they are all there, and the serial number they carry.

Source: RFC 3533, section 6 (page header, checksum).
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct("<4sBBqIIIB")  # capture, version, flags, granule, serial, sequence, crc, n
_SERIAL_AT, _CHECKSUM_AT = 14, 22
_LAST = 0x04
_LARGEST_PAGE = _HEADER.size + 255 + 255 * 255

# OGG's checksum is zlib's CRC-32 with the bits of every byte, and of the result, in the other
# order, and without its inversions: this way it runs in C.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """One page: its bytes and what its header says; its last frame comes before `granule`."""

    data: bytes
    granule: int
    is_last: bool
    serial: int
    sequence: int
    checksum: int


def pages(stream: BinaryIO) -> Iterator[Page]:
    """The whole pages from the stream's position on; ends at the first thing that is none."""
    while True:
        head = stream.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return
        capture, _, flags, granule, serial, sequence, checksum, segments = _HEADER.unpack(head)
        if capture != b"OggS":
            return
        table = stream.read(segments)
        length = sum(table)
        body = stream.read(length)
        if len(table) < segments or len(body) < length:
            return
        data = head + table + body
        yield Page(data, granule, bool(flags & _LAST), serial, sequence, checksum)


def last_pages(stream: BinaryIO) -> list[Page]:
    """The pages at the end of a file, two or more of them if it has so many."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 3 * _LARGEST_PAGE))
    tail = stream.read()
    at = tail.find(b"OggS")
    while at >= 0:
        found = list(pages(io.BytesIO(tail[at:])))
        # The four letters may stand in the midst of a page as well.
        if found and found[0].checksum == checksum(found[0].data):
            return found
        at = tail.find(b"OggS", at + 1)
    return []


def checksum(page: bytes) -> int:
    """The checksum a page must carry; what its checksum field holds now does not matter."""
    blank = page[:_CHECKSUM_AT] + bytes(4) + page[_CHECKSUM_AT + 4 :]
    crc = zlib.crc32(blank.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_MIRRORED), "big")


def with_serial(stream: BinaryIO, serial: int) -> bytes:
    """The pages of a file of one logical stream, all with this serial number.

    Args:
        stream: an OGG file, at its beginning.
        serial: 32 bits.
    """
    return b"".join(_renumbered(page.data, serial) for page in pages(stream))


def damage(stream: BinaryIO) -> str | None:
    """What is wrong with the pages of a whole file; None if nothing is.

    Args:
        stream: an OGG file, at its beginning.
    """
    expected: dict[int, int] = {}
    open_streams: set[int] = set()
    for page in pages(stream):
        if checksum(page.data) != page.checksum:
            return "a page has a wrong checksum"
        if page.sequence != expected.get(page.serial, page.sequence):
            return "a page is missing"
        expected[page.serial] = page.sequence + 1
        (open_streams.discard if page.is_last else open_streams.add)(page.serial)
    return "its last page is missing or incomplete" if open_streams else None


def _renumbered(page: bytes, serial: int) -> bytes:
    """The page with another serial number and the checksum that goes with it."""
    new = page[:_SERIAL_AT] + struct.pack("<I", serial) + page[_SERIAL_AT + 4 :]
    return new[:_CHECKSUM_AT] + struct.pack("<I", checksum(new)) + new[_CHECKSUM_AT + 4 :]
