"""Dagster's event log kept locked by another process while a whole run goes on."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.flows.counting_project import CountingProject


class Lock:
    """Another connection's transaction on the index of all runs, for so many seconds."""

    def __init__(self, home: Path, seconds: float) -> None:
        self._file = home / "history" / "runs" / "index.db"
        self._seconds = seconds
        self._release = threading.Event()
        self._thread = threading.Thread(target=self._hold)
        self.was_held = False

    def take(self) -> None:
        self._thread.start()

    def release(self) -> None:
        self._release.set()
        self._thread.join()

    def _hold(self) -> None:
        with closing(sqlite3.connect(self._file, isolation_level=None, timeout=10)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.was_held = True
            self._release.wait(self._seconds)
            other.rollback()


def test_a_ledger_that_is_locked_for_a_while_is_waited_for(tmp_path: Path) -> None:
    project = CountingProject(tmp_path / "project", clips=20)
    lock = Lock(project.home, seconds=2.0)

    with project.once_it_computes(lock.take):
        done = project.klio("run")
    lock.release()

    assert lock.was_held
    assert done.code == 0, done
    assert set(project.executions().values()) == {1}
    project.assert_ledger_is_true()


@pytest.mark.slow
def test_a_ledger_that_stays_locked_is_one_line_and_the_next_run_records_what_was_computed(
    tmp_path: Path,
) -> None:
    project = CountingProject(tmp_path / "project", clips=20)
    lock = Lock(project.home, seconds=600.0)

    with project.once_it_computes(lock.take):
        done = project.klio("run")
    finished = project.finished()
    lock.release()

    line = project.assert_one_line(done, 2)
    assert "another process kept Dagster's event log locked for too long" in line
    assert finished == set(project.executions())
    project.assert_goes_on()
