"""The processes a worker started, and theirs: who they are, and their end."""

import ctypes
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
# Started by Python (and joblib) for everything that uses multiprocessing's locks: tqdm, say.
_MEANT_TO_STAY = (b"resource_tracker import main", b"multiprocessing.forkserver import main")
_LONGEST_END_S = 5.0


def children(pid: int) -> list[int]:
    """The processes that a process started and that are still there, dead or alive."""
    found: list[int] = []
    with suppress(OSError):  # it has gone, or a thread of it
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                text = Path(f"/proc/{pid}/task/{thread}/children").read_bytes()
                found.extend(map(int, text.split()))
    return found


def descendants(pid: int) -> list[int]:
    """Its children, theirs, and so on."""
    found: list[int] = []
    waiting = children(pid)
    while waiting:
        found.append(waiting.pop())
        waiting.extend(children(found[-1]))
    return found


@dataclass(slots=True)
class Family:
    """The processes this worker is to have. Those an entity leaves behind are not among them."""

    _kept: set[int] = field(default_factory=set[int])

    def adopt_orphans(self) -> None:
        """Let every process that loses its parent become a child of this one, to be found here."""
        with suppress(AttributeError, OSError):  # not Linux: then only direct children are found
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def keep(self) -> None:
        """What runs now may stay: a class started it when it was set up."""
        if self._has_any():
            self._kept.update(children(os.getpid()))

    def end_others(self) -> list[str]:
        """Kill what is not kept, dead ones are only buried; the names of those that were alive."""
        if not self._has_any():
            return []
        names: list[str] = []
        end = time.monotonic() + _LONGEST_END_S
        while time.monotonic() < end:
            # With each that is killed its own children become ours: look again.
            others = [pid for pid in children(os.getpid()) if pid not in self._kept]
            strays = [pid for pid in others if not self._is_meant_to_stay(pid)]
            if not strays:
                break
            for pid in strays:
                if (name := _name_if_alive(pid)) is not None:
                    names.append(name)
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            for pid in strays:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        return names

    def _has_any(self) -> bool:
        """One system call of a microsecond, as it is asked after every entity."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _is_meant_to_stay(self, pid: int) -> bool:
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if any(name in command for name in _MEANT_TO_STAY):
                self._kept.add(pid)
                return True
        return False


def _name_if_alive(pid: int) -> str | None:
    """Its name; None when it has ended and only waits to be buried."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    return None if rest.split()[0] in "ZX" else name
