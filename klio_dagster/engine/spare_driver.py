"""A spare driver (`python -m`): waits for a run's manifest, carries it out, and ends.

Nobody takes it for a minute, or its socket or folder is gone: it ends, and its workers with it.
"""

import os
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from time import monotonic
from uuid import uuid4

from klio_dagster.engine import driver
from klio_dagster.engine.running import keep_spare_workers

KEPT_S = 60.0
_LOOK_S = 0.5
_ANSWER_S = 1.0
_MOST_BYTES = 1 << 16


def main(path: Path, workers: int) -> int:
    """Wait for a manifest, and carry it out.

    Returns:
        The driver's exit code; 0 if nobody came.
    """
    keep_spare_workers(workers)
    import_module("klio_dagster.engine.beam.pipeline")  # what takes a driver so long to start
    import_module("klio_dagster.engine.beam.runners")

    connection = _waited_for(path)
    if connection is None:
        return 0
    connection.settimeout(_ANSWER_S)
    head, fds, _, _ = socket.recv_fds(connection, _MOST_BYTES, 2)
    os.dup2(fds[0], 0)
    os.dup2(fds[1], 1)
    os.dup2(fds[1], 2)
    for fd in fds:
        os.close(fd)
    connection.settimeout(None)
    connection.sendall(str(os.getpid()).encode())
    code = driver.main([head.decode(), "--launched"])
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(bytes([code]))
    return code


def _waited_for(path: Path) -> socket.socket | None:
    """The run that takes us; None after a minute, or when our socket or its folder is gone."""
    ends_at = monotonic() + KEPT_S
    with socket.socket(socket.AF_UNIX) as listener:
        hidden = path.with_name(uuid4().hex[:16])
        try:
            listener.bind(str(hidden))
            listener.listen(1)
            hidden.rename(path)
            ours = path.stat().st_ino
        except OSError:  # the folder is gone
            return None
        listener.settimeout(_LOOK_S)
        try:
            while monotonic() < ends_at and _inode(path) == ours:
                with suppress(TimeoutError):
                    return listener.accept()[0]
            return None
        finally:
            if _inode(path) == ours:
                with suppress(OSError):
                    path.unlink()


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), int(sys.argv[2]))
    os._exit(code)
