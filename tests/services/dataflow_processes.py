"""The processes of the Dataflow double: executors, their SDK workers, and what those started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tests.services import dataflow_executor

_SDK_WORKER = "apache_beam.runners.worker.sdk_worker_main"
_MARK = "KLIO_TESTS_DATAFLOW_ATTEMPT"
_KILLED_S = 5.0


def launch(folder: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start an executor in a process group of its own; what it prints goes to `log`."""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", dataflow_executor.__file__, str(folder)],
            stdin=subprocess.PIPE,  # it ends when this process does
            stdout=log,
            stderr=log,
            env={**environment, _MARK: str(folder)},
            cwd=folder,
            start_new_session=True,
        )


def has_ended(executor: "subprocess.Popen[bytes]") -> bool:
    """It runs no longer. It is not reaped, so that its number stays that of its group."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, executor.pid, flags) is not None


def end(executor: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Kill an executor and whatever it, its SDK workers and their children have started.

    Some of it has groups of its own, some has lost its parent: what bears the folder in its
    environment belongs to it. This returns when all are gone, for which the kernel takes a moment.
    """
    everybody = [*_family(executor.pid), *_marked(str(folder))]
    for process in everybody:
        with suppress(psutil.Error):
            process.kill()
    with suppress(ProcessLookupError):
        os.killpg(executor.pid, signal.SIGKILL)
    executor.wait()
    assert executor.stdin
    executor.stdin.close()
    deadline = time.monotonic() + _KILLED_S
    while living(process.pid for process in everybody) and time.monotonic() < deadline:
        time.sleep(0.005)


def pids(executor: int | None) -> list[int]:
    """Of an executor and of all that it and its children have started."""
    return [process.pid for process in _family(executor)]


def sdk_worker_pids(executor: int | None) -> list[int]:
    """Of the processes that run the user's code."""
    found: list[int] = []
    for process in _family(executor):
        with suppress(psutil.Error):
            if _SDK_WORKER in process.cmdline():
                found.append(process.pid)
    return found


def living(numbers: Iterable[int]) -> list[int]:
    """Those of these processes that run still; what is dead and not reaped yet does not."""
    found: list[int] = []
    for number in numbers:
        with suppress(psutil.Error):
            if psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
                found.append(number)
    return found


def _family(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        return []
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _marked(folder: str) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(_MARK) == folder:
                found.append(process)
    return found
