"""A store that may be read and not written to: one line, nothing lost, the next run goes on."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flows.counting_project import CountingProject
from tests.flows.disks import closed_to_writers


def test_a_store_that_is_closed_from_the_start_is_one_line_and_can_be_looked_at(
    tmp_path: Path,
) -> None:
    project = CountingProject(tmp_path / "project", clips=2)

    with closed_to_writers(project.folder / "data"):
        done = project.klio("run")
        looks = [project.klio(command).code for command in ("plan", "status", "failures")]

    line = project.assert_one_line(done, 2)
    assert line.startswith(f"store {project.folder}/data/")
    assert line.endswith("; let this user read and write there, or use another store")
    assert looks == [0, 0, 0]
    assert not project.executions()


@pytest.mark.slow
def test_a_store_that_is_closed_in_mid_run_stops_the_run_and_the_next_one_goes_on(
    tmp_path: Path,
) -> None:
    project = CountingProject(tmp_path / "project", clips=20)

    with ExitStack() as closed:
        closing = closed_to_writers(project.folder / "data")
        with project.once_it_computes(lambda: closed.enter_context(closing)):
            done = project.klio("run")
        finished = project.finished()

    line = project.assert_one_line(done, 1, 2)
    assert "let this user read and write there, or use another store" in line
    assert 0 < len(finished) < 40
    project.assert_nothing_is_torn()
    project.assert_goes_on()
