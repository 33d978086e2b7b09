"""The launcher's side of spare drivers: one waits for a manifest, so that a run starts none.

Starting a driver and its workers takes more than a second, most of it imports: for a run that
computes one entity that is most of its time. A run leaves one behind when it ends; the next one
takes it over a socket. It carries out one manifest and ends, so no state of one run is another's,
and it has loaded nothing of the user's before (`engine.spare_driver`).
"""

import array
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO

from klio_dagster.version import __version__

_CONNECT_S = 1.0
_DRIVER = "klio_dagster.engine.spare_driver"


class TakenDriver:
    """A spare driver that was taken: as much of a `Popen` as its launcher needs.

    Args:
        connection: to it; it sends its exit code.
        pid: of it.
        stdin: it ends when this is closed.
        stdout: what it and user code print.
    """

    def __init__(
        self, connection: socket.socket, pid: int, stdin: IO[bytes], stdout: IO[bytes]
    ) -> None:
        self._connection = connection
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended.

        Raises:
            TimeoutExpired: it has not ended in so many seconds.
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                said = self._connection.recv(1)
            except TimeoutError:
                raise subprocess.TimeoutExpired("spare driver", timeout or 0.0) from None
            except ConnectionError:
                said = b""
            self.returncode = said[0] if said else -signal.SIGKILL
            self._connection.close()
        return self.returncode

    def kill(self) -> None:
        """End it at once; its workers see that."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def take(
    folder: Path, head: str, workers: int, environment: Mapping[str, str]
) -> TakenDriver | None:
    """Have a spare driver carry out a manifest; None if none waits that is like a new one.

    Args:
        folder: where they wait.
        head: path of the manifest's head.
        workers: how many it must have.
        environment: that a new one would get.
    """
    path = folder / _name(workers, environment)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_CONNECT_S)
    stdin_read, stdin_write = os.pipe()
    stdout_read, stdout_write = os.pipe()
    try:
        connection.connect(str(path))
        fds = array.array("i", [stdin_read, stdout_write])
        connection.sendmsg([head.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        connection.settimeout(None)  # it has the manifest now: nobody else may begin it
        pid = int(connection.recv(32))
    except (OSError, ValueError):  # there is none, or another run was faster
        connection.close()
        os.close(stdin_write)
        os.close(stdout_read)
        return None
    finally:
        os.close(stdin_read)
        os.close(stdout_write)
    return TakenDriver(connection, pid, os.fdopen(stdin_write, "wb"), os.fdopen(stdout_read, "rb"))


def leave_behind(folder: Path, workers: int, environment: Mapping[str, str]) -> None:
    """Start a spare driver for the next run, unless one waits.

    Args:
        folder: where it waits.
        workers: how many it has.
        environment: that a new one would get.
    """
    path = folder / _name(workers, environment)
    if not folder.is_dir() or path.exists():
        return
    command = [sys.executable, "-m", _DRIVER, str(path), str(workers)]
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    # Not by `subprocess`, which would wait for it, or warn that nobody does.
    os.posix_spawn(
        sys.executable, command, dict(environment), file_actions=[nothing, *silent], setsid=True
    )


def _name(workers: int, environment: Mapping[str, str]) -> str:
    """Equal for processes that would start equal drivers; a socket's path is 103 bytes at most."""
    package = Path(__file__).parents[1]
    newest = max(file.stat().st_mtime_ns for file in package.rglob("*.py"))
    told = [
        sys.executable,
        __version__,
        newest,
        str(Path.cwd()),
        workers,
        sorted(environment.items()),
    ]
    return sha256(json.dumps(told).encode()).hexdigest()[:16]
