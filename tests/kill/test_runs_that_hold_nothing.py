"""A run killed while it holds no claim, not yet or no more, is not STARTED for ever."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Project
from tests.flows.counted_catalogue import ASSETS, BAD, START_UP_S, CountedCatalogue
from tests.flows.counted_jobs import executions

pytestmark = pytest.mark.kill
ENTITIES = [f"e-{number}" for number in range(20)]


def dies_at(line: str, *command: str, folder: Path, environment: Mapping[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.kill.dies_at", line, *command],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        timeout=START_UP_S,
        check=False,
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.parametrize(
    ("line", "computed"),
    [
        pytest.param("open_claim", 0, id="before its claim"),
        pytest.param("failure_of", 3 * len(ENTITIES) - 1, id="after its claim"),
    ],
)
def test_the_next_run_reports_it_failed(tmp_path: Path, line: str, computed: int) -> None:
    catalogue = CountedCatalogue(tmp_path, ENTITIES)
    dies_at(line, folder=tmp_path, environment=catalogue.environment)
    assert len(executions(catalogue.log)) == computed
    assert catalogue.run_statuses() == {"STARTED"}
    assert list(catalogue.store.list("_klio/open/")) == []

    assert catalogue.start().wait(START_UP_S) == 1, "the bad entity fails"

    assert catalogue.run_statuses() == {"FAILURE"}
    done = Counter(executions(catalogue.log))
    assert {pair for pair in done if done[pair] > 1} <= BAD
    assert set(done) == {(a, e) for a in ASSETS for e in ENTITIES} - {("third", "e-13")}
    catalogue.assert_ledger_tells_the_truth()


def test_a_command_killed_before_its_op_says_anything_is_reported_failed(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.clip("good")
    project.klio("entities", "sync")
    dies_at("check_store", "run", folder=project.folder, environment=os.environ)
    assert [run.status.value for run in project.runs()] == ["STARTED"]

    done = project.klio("run")

    assert done.code == 0, done.err
    assert [run.status.value for run in project.runs()] == ["SUCCESS", "FAILURE"]
