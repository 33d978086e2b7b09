"""How much user code prints: counted by the supervisor that reads it, known to the worker."""

import fcntl
import mmap
import os
import struct
import termios
from contextlib import suppress
from dataclasses import dataclass, field

MOST_SHOWN = 64 * 1024
"""Bytes of what one entity, or a batch, prints; the rest is cut."""
_COUNT = struct.Struct("=Q")


@dataclass(slots=True)
class PrintedCount:
    """A count in memory that two processes share.

    Args:
        file: descriptor of that memory.
    """

    file: int
    _memory: mmap.mmap = field(init=False)

    def __post_init__(self) -> None:
        self._memory = mmap.mmap(self.file, _COUNT.size)

    @classmethod
    def new(cls) -> "PrintedCount":
        """A count of 0, for a worker about to be started."""
        file = os.memfd_create("klio-printed")
        os.truncate(file, _COUNT.size)
        return cls(file)

    @property
    def total(self) -> int:
        """Bytes that were read so far."""
        return _COUNT.unpack_from(self._memory)[0]

    def add(self, count: int) -> None:
        """So many more were read."""
        _COUNT.pack_into(self._memory, 0, self.total + count)

    def close(self) -> None:
        """Give the descriptor back; the count can be read on."""
        os.close(self.file)


def note(printed: int) -> list[str]:
    """What a receipt says of an attempt that printed so many bytes."""
    if printed <= MOST_SHOWN:
        return []
    return [
        f"printed {printed / 1e6:.1f} MB, of which the log has the first {MOST_SHOWN >> 10} KiB"
    ]


@dataclass(slots=True)
class OwnOutput:
    """What this worker prints to a pipe that its supervisor counts.

    Args:
        count: the supervisor's.
        pipe: the end that is written to.
    """

    count: PrintedCount
    pipe: int
    _before: int = 0
    _last: int = 0
    _waiting: bytearray = field(default_factory=lambda: bytearray(4))

    def begin(self) -> None:
        """From here on it counts for another entity."""
        self._before = self._last

    def notes(self) -> list[str]:
        """What there is to say of what was printed since."""
        with suppress(OSError):
            fcntl.ioctl(self.pipe, termios.FIONREAD, self._waiting)
        self._last = self.count.total + int.from_bytes(self._waiting, "little")
        return note(self._last - self._before)
