"""Prism, Beam's portable local runner: one program with a job endpoint."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

import psutil

from klio_dagster.engine.guardian import Guardian
from tests.services.engine_programs import PRISM_PROGRAM
from tests.services.ports import free_port, listens
from tests.services.started import (
    Started,
    family_rss,
    process_environment,
    worker_command,
)

_START_S = 30.0


class Prism:
    """A Prism of our own, as a context.

    It listens on all interfaces, which it has no option against.

    Args:
        environment: of its processes, and so of SDK workers.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
        self._port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="klio-prism-"))
        self._guardian = Guardian()

    @property
    def endpoint(self) -> str:
        """What `--job_endpoint` is set to."""
        return f"127.0.0.1:{self._port}"

    @property
    def worker_command(self) -> str:
        """The command of the PROCESS environment."""
        return worker_command(self.folder)

    def options(self, name: str, variables: Mapping[str, str] = MappingProxyType({})) -> list[str]:
        """Pipeline options that submit here.

        Args:
            name: of the job.
            variables: for the environment of SDK workers.
        """
        return [
            *("--runner=PortableRunner", f"--job_endpoint={self.endpoint}", f"--job_name={name}"),
            *process_environment(self.worker_command, variables),
        ]

    def __enter__(self) -> Self:
        program = PRISM_PROGRAM.found()
        assert program, "`make test-engines` brings Prism"
        command = [str(program), "-job_port", str(self._port), "-serve_http=false"]
        self.process = Started("prism", command, self.folder, self._guardian, self._environment)
        try:
            self.process.wait_for(lambda: listens(self._port), "a job endpoint", _START_S)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def sdk_workers(self) -> list[psutil.Process]:
        """All that live, also after it was killed."""
        return self.process.sdk_workers()

    def kill(self) -> None:
        """SIGKILL, of Prism alone."""
        self.process.kill()

    def memory(self) -> dict[str, int]:
        """Bytes in use by program; an SDK worker with all it has started."""
        used = {"prism": self.process.rss()}
        for worker in self.sdk_workers():
            used[f"sdk-worker-{worker.pid}"] = family_rss(worker)
        return used

    def stop(self) -> None:
        """End it and its SDK workers, and delete what it wrote."""
        self.process.stop()
        self._guardian.close()
        shutil.rmtree(self.folder, ignore_errors=True)
