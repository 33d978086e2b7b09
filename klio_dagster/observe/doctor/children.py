"""Processes started as workers are, to see what they find."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from klio_dagster.engine.limits import worker_environment

_SHOWN_CHARACTERS = 300


class ChildFailedError(Exception):
    """The process did not end well.

    Args:
        said: the last line of what it said.
        printed: what it had printed by then.
    """

    remedy = ""  # where there is a better one than who asked can know

    def __init__(self, said: str, printed: str = "") -> None:
        super().__init__(said)
        self.printed = printed


class ChildTooSlowError(ChildFailedError):
    """The process was killed, for it took too long."""

    remedy = "see what keeps this machine busy (CPU, memory, a slow disk), then ask again"


def child(arguments: Sequence[str], within_s: float) -> str:
    """What a Python process prints that is started with a worker's environment.

    Args:
        arguments: behind the interpreter.
        within_s: after which it is killed, in seconds.

    Raises:
        ChildTooSlowError: it takes too long.
        ChildFailedError: it cannot be started, or fails.
    """
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            env={**worker_environment(os.environ), "PYTHONPATH": path},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        printed: bytes | str = error.stdout or b""  # bytes, also where text was asked for
        text = printed if isinstance(printed, str) else printed.decode(errors="replace")
        raise ChildTooSlowError(f"it takes longer than {within_s:g} s", text) from error
    except OSError as error:
        raise ChildFailedError(f"it cannot be started: {error.strerror}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1][:_SHOWN_CHARACTERS] if lines else "it said nothing"
        raise ChildFailedError(f"it ends with code {done.returncode}: {said}", done.stdout)
    return done.stdout


def probed(arguments: Sequence[str], within_s: float) -> dict[str, Any]:
    """What `klio_dagster.engine.probe` says.

    Raises:
        ChildFailedError: the probe fails.
    """
    said = child(["-m", "klio_dagster.engine.probe", *arguments], within_s)
    return json.loads(said.splitlines()[-1])
