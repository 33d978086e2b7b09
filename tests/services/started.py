"""Processes of ours: started with a log, ended by id, and with whoever started them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from klio_dagster.engine.guardian import Guardian

ROOT = Path(__file__).parents[2]
_WORKER = "klio_dagster.engine.beam.sdk_harness"


class Started:
    """A running program, leader of its own process group.

    Args:
        name: of its log.
        command: what is started.
        folder: where its log lies and what its working folder is.
        guardian: ends the group, and with it SDK workers it started, when the tests are killed.
        environment: beside our own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        guardian: Guardian,
        environment: Mapping[str, str],
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**worker_paths(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._seen: set[psutil.Process] = set()
        guardian.watch(self.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def sdk_workers(self) -> list[psutil.Process]:
        """The Beam SDK workers it has started and that live; also after it was killed."""
        with suppress(psutil.NoSuchProcess):
            self._seen.update(filter(_is_worker, psutil.Process(self.pid).children()))
        return [worker for worker in self._seen if is_alive(worker)]

    def kill(self) -> None:
        """SIGKILL, of this process alone."""
        self.sdk_workers()  # nobody knows afterwards whose they were
        self._process.kill()
        self._process.wait()

    def stop(self, within_s: float = 10.0) -> None:
        """End it and every SDK worker it has started; by force what does not end in time."""
        self.sdk_workers()
        if self.is_running:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(within_s)
        if self.is_running:
            self._process.kill()
            self._process.wait()
        end_all(self._seen, within_s)

    def wait_for(self, condition: Callable[[], bool], what: str, within_s: float) -> None:
        """Return when it is so.

        Raises:
            AssertionError: it is not so in time, or the program has ended; with the end of its log.
        """
        end = time.monotonic() + within_s
        while not condition():
            assert self.is_running, f"{self.name} has ended: {self.tail()}"
            assert time.monotonic() < end, f"not {what} within {within_s:g} s: {self.tail()}"
            time.sleep(0.1)

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def rss(self) -> int:
        """Bytes it holds, without its SDK workers."""
        return resident(psutil.Process(self.pid)) if self.is_running else 0


def worker_paths() -> dict[str, str]:
    """Our environment, in which an SDK worker finds this checkout and Beam."""
    inherited = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{inherited}" if inherited else str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def worker_command(folder: Path) -> str:
    """The command of a PROCESS environment: the installed `klio-sdk-worker`, or one just like it.

    Args:
        folder: where the latter is written.
    """
    installed = Path(sys.executable).with_name("klio-sdk-worker")
    if installed.exists():
        return str(installed)
    script = folder / "klio-sdk-worker"
    module = "from klio_dagster.engine.beam.sdk_worker import main; main()"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{module}" "$@"\n')
    script.chmod(0o755)
    return str(script)


def process_environment(command: str, variables: Mapping[str, str]) -> list[str]:
    """Pipeline options of an environment whose workers are processes.

    Args:
        command: the worker's.
        variables: for its environment.
    """
    configuration = json.dumps({"command": command, "env": dict(variables)})
    return ["--environment_type=PROCESS", f"--environment_config={configuration}"]


def is_alive(process: psutil.Process) -> bool:
    """It runs; a zombie does not, and a process that got its id is another one."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def end_all(processes: Iterable[psutil.Process], within_s: float) -> None:
    """Give them time to end, then end them."""
    _, alive = psutil.wait_procs([p for p in processes if is_alive(p)], within_s)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def resident(process: psutil.Process) -> int:
    """Bytes it holds; 0 when it is gone."""
    with suppress(psutil.NoSuchProcess):
        return process.memory_info().rss
    return 0


def family_rss(process: psutil.Process) -> int:
    """Bytes it holds with all it has started."""
    with suppress(psutil.NoSuchProcess):
        return sum(map(resident, [process, *process.children(recursive=True)]))
    return 0


def java() -> str:
    """The program; tests that need it are not asked for where the jars are not made."""
    found = shutil.which("java")
    assert found, "there is no java on the path"
    return found


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return _WORKER in process.cmdline()
    return False
