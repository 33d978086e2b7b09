"""The engines that the tests of this folder run on; started once, left as they were found.

`make test-engines` brings the programs. A test that needs settings or an environment of its own
starts a `FlinkCluster(...)` or a `Prism(...)` itself; both are contexts.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.engine_programs import FLINK_JARS, JOB_SERVER, PRISM_PROGRAM, found_or_skipped
from tests.services.flink import FlinkCluster, JobServer
from tests.services.prism import Prism
from tests.services.started import worker_paths

_LONG_S = 180.0


@pytest.fixture(scope="session")
def flink_cluster() -> Iterator[FlinkCluster]:
    """Two task managers of one slot. Ask for `flink`, which leaves it to others as it was."""
    found_or_skipped(FLINK_JARS)
    found_or_skipped(JOB_SERVER)
    with FlinkCluster() as cluster:
        yield cluster


@pytest.fixture
def flink(flink_cluster: FlinkCluster) -> Iterator[FlinkCluster]:
    """A cluster with nothing to do. What the test kills is replaced, what it left is cancelled."""
    flink_cluster.restore()
    yield flink_cluster
    flink_cluster.restore()


@pytest.fixture(scope="session")
def job_server(flink_cluster: FlinkCluster) -> Iterator[JobServer]:
    """A job server for that cluster, which outlives drivers."""
    with flink_cluster.job_server() as server:
        yield server


@pytest.fixture(scope="session")
def prism_program() -> Path:
    """Prism's program, as `--prism_location` and `PrismEngine(location=)` want it."""
    return found_or_skipped(PRISM_PROGRAM)


@pytest.fixture(scope="session")
def prism(prism_program: Path) -> Iterator[Prism]:
    """A running Prism with a job endpoint. A test that kills it starts its own."""
    with Prism() as started:
        yield started


Driver = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def tiny_pipeline(tmp_path: Path) -> Driver:
    """Runs `tiny_pipeline` in a driver of its own and waits; the lines it says."""

    def run(*arguments: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "tests.engines.tiny_pipeline", str(tmp_path), *arguments]
        done = subprocess.run(
            command,
            env=worker_paths(),
            capture_output=True,
            text=True,
            timeout=_LONG_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run
