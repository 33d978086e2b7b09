"""Nobody is killed, but somebody else does what a tick or a run does, at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kill.dying import GOOD, asked, assert_all_is_done, goes_on
from tests.kill.stream import Stream
from tests.kill.streamed_defs import SENSOR, STREAM
from tests.kill.warm import Warm
from tests.ledger.graphql import previewed

pytestmark = [pytest.mark.kill, pytest.mark.emulator]


def test_two_daemons_at_once_compute_everything_once(warm: Warm, stream: Stream) -> None:
    asked(stream)
    with stream.instance():
        pass  # Dagster makes a home's tables; two processes at once would fail at that

    with Warm("another") as another, ThreadPoolExecutor(2) as threads:
        both = (warm, another)
        for _ in range(2):
            list(threads.map(lambda each: each.do("follow", stream.environment), both))
            stream.ask(GOOD[1], GOOD[2])

    assert stream.lost() == []
    goes_on(warm, stream)
    assert_all_is_done(stream)
    assert set(stream.executed().values()) == {1}


def test_two_daemons_that_launch_the_same_batch_compute_it_once(warm: Warm, stream: Stream) -> None:
    asked(stream)
    _, (request,) = warm.do("tick", stream.environment)

    with Warm("another") as another, ThreadPoolExecutor(2) as threads:
        both = (warm, another)
        list(threads.map(lambda each: each.do("run", stream.environment, asked=[request]), both))

    assert stream.lost() == []
    goes_on(warm, stream)
    assert_all_is_done(stream)
    assert set(stream.executed().values()) == {1}


def test_a_preview_of_a_tick_in_the_ui_does_no_harm(warm: Warm, stream: Stream) -> None:
    asked(stream)
    file = stream.folder / "definitions.py"
    told = stream.environment[STREAM]
    file.write_text(
        "import json\nfrom tests.kill.streamed_defs import made\n"
        f"defs = made(json.loads({told!r}))\n"
    )

    with stream.instance() as instance:
        (key,) = previewed(instance, file, SENSOR)
        assert instance.get_runs_count() == 0, "a preview launches nothing"

    assert stream.lost() == []
    assert key == f"{stream.batches()[0].id}/1"
    goes_on(warm, stream)
    assert_all_is_done(stream)
    assert set(stream.executed().values()) == {1}
