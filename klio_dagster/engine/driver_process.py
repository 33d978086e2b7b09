"""A driver as its launcher sees it: started, listened to, ended."""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from klio_dagster.engine.spare import TakenDriver
from klio_dagster.store.access import ACCESS_VARIABLE, Access

_POLL_S = 0.1
_MOST_LINE_BYTES = 1 << 16
_KEPT_CHARACTERS = 500
_KEPT_LINES = 20  # of the driver's output, for the message when it fails
_GRACE_S = 2.0

OnOutput = Callable[[str], None]


class DriverProcess:
    """A driver that was started, or taken.

    Args:
        process: the driver.
        on_output: takes what driver and user code print, a line at a time, in another thread.
    """

    def __init__(
        self, process: "subprocess.Popen[bytes] | TakenDriver", on_output: OnOutput
    ) -> None:
        self._process = process
        self._on_output = on_output
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def start(
        cls,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        on_output: OnOutput,
        pass_fds: Sequence[int] = (),
    ) -> "DriverProcess":
        """Start one.

        Args:
            arguments: of its command line.
            environment: of its process.
            on_output: takes what driver and user code print.
            pass_fds: descriptors that it inherits.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "klio_dagster.engine.driver", *arguments],
            stdin=subprocess.PIPE,  # held open as long as this process lives
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,  # a terminal's Ctrl-C reaches this process, which then decides
            pass_fds=pass_fds,
        )
        return cls(process, on_output)

    @property
    def code(self) -> int | None:
        """It ended with this code; None while it has not."""
        return self._process.returncode

    @property
    def last_line(self) -> str:
        """What it said last."""
        said = (line for line in reversed(self._last_lines) if line.strip())
        return next(said, "it said nothing")

    @property
    def orders(self) -> int:
        """The pipe that it takes orders from."""
        assert self._process.stdin
        return self._process.stdin.fileno()

    def has_ended(self) -> bool:
        """Whether it has; waits a moment for it."""
        try:
            self._process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """Close the pipe it holds on to; it ends, and its workers with it."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_GRACE_S)

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout:
            while line := self._process.stdout.readline(_MOST_LINE_BYTES):
                text = line.decode(errors="replace").rstrip("\n")
                self._last_lines.append(text[-_KEPT_CHARACTERS:])
                with suppress(Exception):  # read on whatever becomes of it: it must not block
                    self._on_output(text)


def environment_of(access: Access) -> dict[str, str]:
    """The environment of a driver of this process.

    The path goes along: workers import what the code location imports. So do the stores' options,
    which stand in no file.
    """
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    told = {ACCESS_VARIABLE: access.to_text()} if access.by_location else {}
    return {**os.environ, "PYTHONPATH": path, **told}
