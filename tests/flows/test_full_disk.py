"""A disk that fills up in mid-run: one line, nothing lost; with room, the next run goes on."""

from pathlib import Path

import pytest

from tests.flows.counting_project import CountingProject
from tests.flows.disks import small_disk


def test_a_store_without_room_stops_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    with small_disk(folder / "data") as disk:
        project = CountingProject(folder, clips=20)

        with project.once_it_computes(lambda: disk.leave(16)):
            done = project.klio("run")

        line = project.assert_one_line(done, 1)
        assert "no space left on device; free some space" in line
        assert "what is done stays done" in line
        assert 0 < len(project.finished()) < 40
        assert project.klio("failures").out == "nothing failed\n"
        project.assert_nothing_is_torn()
        disk.grow()
        project.assert_goes_on()


def test_a_home_without_room_stops_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    with small_disk(folder / ".klio") as disk:
        project = CountingProject(folder, clips=20)

        with project.once_it_computes(lambda: disk.leave(0)):
            done = project.klio("run")

        line = project.assert_one_line(done, 2)
        assert line.startswith("DAGSTER_HOME: Dagster's event log did not work: ")
        assert "what was computed is kept, and the next run records it" in line
        disk.grow()
        project.assert_goes_on()


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [0, 4, 8, 12, 16, 20, 24, 32, 40, 60, 100, 160, 240, 320])
@pytest.mark.parametrize("place", ["data", ".klio"])
def test_wherever_the_room_ends_nothing_is_lost(tmp_path: Path, place: str, kilobytes: int) -> None:
    folder = tmp_path / "project"
    with small_disk(folder / place) as disk:
        project = CountingProject(folder, clips=20)
        disk.leave(kilobytes)

        done = project.klio("run")

        project.assert_one_line(done, 1, 2)
        project.assert_nothing_is_torn()
        disk.grow()
        project.assert_goes_on()
