"""Which process of which machine wrote something, and whether it still runs."""

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

_STATE, _START_TIME = 0, 19  # fields of /proc/<pid>/stat behind the name, see proc(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of some machine.

    Args:
        host: name of its machine.
        machine: tells machines of one name apart, and their containers; empty if unknown.
        pid: its number.
        started: its start in clock ticks since boot; None if unknown.
    """

    host: str
    machine: str
    pid: int
    started: int | None

    @classmethod
    def this(cls) -> Self:
        """The process that asks."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process of this machine that has this number now."""
        return cls(host=socket.gethostname(), machine=_machine(), pid=pid, started=started_at(pid))

    @property
    def is_here(self) -> bool:
        """It is or was a process of this machine, since its last start."""
        return self.machine != "" and (self.host, self.machine) == (
            socket.gethostname(),
            _machine(),
        )

    @property
    def is_gone(self) -> bool:
        """It was seen to have ended; False for processes of other machines, who knows."""
        if (self.host, self.machine) != (socket.gethostname(), _machine()):
            return False
        started = started_at(self.pid)
        if started is not None:
            return self.started not in {None, started}
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it is there and belongs to somebody whose processes we are not shown
            return False
        return _machine() != ""  # where there is /proc, only a zombie has a number and no start

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def started_at(pid: int) -> int | None:
    """Start of a process in clock ticks since boot; None if it ended or nobody can tell."""
    try:
        # The name in parentheses may itself contain spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A process that was killed but not yet waited for still has its number.
    return None if fields[_STATE] in {"Z", "X"} else int(fields[_START_TIME])


@lru_cache(maxsize=1)
def _machine() -> str:
    """Boot and process namespace: only within both do process numbers mean the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
