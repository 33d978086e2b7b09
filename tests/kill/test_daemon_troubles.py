"""A real daemon whose runs come to nothing, and which asks for them again."""

from pathlib import Path

import dagster as dg
import pytest

from tests.kill.daemon_kills import ask, comes_to_its_end, daemon_of, until
from tests.kill.launchers import REFUSALS
from tests.kill.stream import SETTINGS, Stream
from tests.services.pubsub import PubSubEmulator

pytestmark = [pytest.mark.kill, pytest.mark.emulator, pytest.mark.slow]

GOOD = [f"e-{n}" for n in range(5)]
_LAUNCHER = """\
run_launcher: {module: tests.kill.launchers, class: Refusing}
"""


def assert_all_is_done(stream: Stream) -> None:
    assert comes_to_its_end(stream, GOOD) == []
    assert stream.lost() == []
    assert set(stream.hear()) == {*GOOD, "pinged"}
    assert set(stream.executed().values()) == {1}
    assert stream.left_behind() == []


def test_runs_that_fail_to_launch(tmp_path: Path, pubsub_emulator: PubSubEmulator) -> None:
    stream = Stream(tmp_path, pubsub_emulator, settings=_LAUNCHER)
    (tmp_path / REFUSALS).write_text("2")
    stream.put(*GOOD)

    with daemon_of(stream):
        ask(stream, GOOD)
        assert_all_is_done(stream)

    with stream.instance() as instance:
        ended = [run.status.value for run in instance.get_runs()]
    assert ended == ["SUCCESS", "FAILURE", "FAILURE"]


@pytest.mark.parametrize("end", ["cancelled", "deleted"])
def test_a_run_that_is_ended_while_it_is_queued(stream: Stream, end: str) -> None:
    settings = Path(stream.environment["DAGSTER_HOME"]) / "dagster.yaml"
    settings.write_text(SETTINGS.replace("max_concurrent_runs: 4", "max_concurrent_runs: 0"))
    stream.put(*GOOD)
    with daemon_of(stream), stream.instance() as instance:
        ask(stream, GOOD)
        queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
        until(lambda: instance.get_runs(queued), 60.0, "no run was requested")
        (run,) = instance.get_runs()
        if end == "cancelled":
            instance.run_coordinator.cancel_run(run.run_id)
        else:
            instance.delete_run(run.run_id)
        settings.write_text(SETTINGS)

    with daemon_of(stream):
        assert_all_is_done(stream)
