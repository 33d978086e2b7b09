"""What bounds a worker process: threads of numeric libraries, malloc's habits, memory."""

import ctypes
import gc
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from klio_dagster.engine.family import descendants

# One worker a core, so a library's own threads would only fight them. All of these are read when
# the library is loaded, hence an environment for the worker and not calls inside it.
_ONE_THREAD: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# glibc gives arrays of a few megabytes back to the system after every clip and faults them in
# again for the next: keeping them measured up to 9 % less CPU (reference: measured, kernels).
_KEEP_MEMORY: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
}
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEMORY_EVERY_S = 0.05  # an array grows by about 2 GB/s
_FAMILY_EVERY_S = 0.5  # reading the memory of children takes ten times as long


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker process; what the user has set stays."""
    # What user code prints is read as it comes, and the worker ends without flushing.
    said = {"PYTHONUNBUFFERED": "1"}
    return {**dict.fromkeys(_ONE_THREAD, "1"), **_KEEP_MEMORY, **said, **environment}


@dataclass(slots=True)
class MemoryWatch:
    """The memory of a worker and of what it started, looked at now and then from outside.

    Args:
        pid: the worker.
    """

    pid: int
    held: int = 0
    """Bytes when it was last looked at."""
    _of_children: int = 0
    _next: float = 0.0
    _next_family: float = 0.0

    def due_in(self, now: float) -> float:
        """Seconds until it is to be looked at again, by the monotonic clock."""
        return max(0.0, self._next - now)

    def is_over(self, limit: int, now: float) -> bool:
        """It holds more than it may. Looks only where it is due."""
        if now < self._next:
            return False
        self._next = now + _MEMORY_EVERY_S
        if now >= self._next_family:
            self._next_family = now + _FAMILY_EVERY_S
            self._of_children = sum(_resident(pid) for pid in descendants(self.pid))
        self.held = _resident(self.pid) + self._of_children
        if self.held <= limit or not self._of_children:
            return self.held > limit
        # What a forked child shares with its parent counts once: exact, and a hundred times dearer.
        family = [self.pid, *descendants(self.pid)]
        self.held = sum(_proportional(pid) for pid in family)
        self._next = self._next_family
        return self.held > limit


@dataclass(slots=True)
class OwnMemory:
    """What this worker holds, seen from inside, where free memory can be given back.

    The allocator keeps what is freed, so that what one asset has used would count against the
    next one.
    """

    _statm: int = field(default_factory=lambda: os.open("/proc/self/statm", os.O_RDONLY))
    _trimmed_to: int = 0

    def held(self, limit: int | None) -> int:
        """Bytes; 0 where that is little, measured by the limit."""
        if limit is None:
            return 0
        held = self._resident()
        if held <= limit // 2:
            return 0
        if held > self._trimmed_to * 1.1:
            gc.collect()
            with suppress(AttributeError, OSError):  # another libc has no such function
                ctypes.CDLL(None).malloc_trim(0)
            held = self._trimmed_to = self._resident()
        return held if held > limit // 2 else 0

    def _resident(self) -> int:
        return int(os.pread(self._statm, 128, 0).split()[1]) * _PAGE


def _resident(pid: int) -> int:
    """Bytes a process holds; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    """Bytes a process holds, what it shares with others divided among them; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
