"""A process dies at each durable step of a message's way: nothing is lost, nothing done twice."""

import pytest

from tests.kill import points
from tests.kill.dying import GOOD, asked, assert_all_is_done, dies, goes_on, mended
from tests.kill.stream import BAD, Stream
from tests.kill.warm import Warm

pytestmark = [pytest.mark.kill, pytest.mark.emulator]


@pytest.mark.parametrize("point", points.TICK)
def test_a_tick_that_dies_loses_no_message(warm: Warm, stream: Stream, point: str) -> None:
    asked(stream)

    dies(warm, stream, point, "tick")

    assert stream.lost() == []
    assert stream.executed() == {}
    goes_on(warm, stream)
    assert_all_is_done(stream)
    assert set(stream.executed().values()) == {1}


@pytest.mark.parametrize("point", points.RUN)
def test_a_run_that_dies_loses_no_message(warm: Warm, stream: Stream, point: str) -> None:
    asked(stream)
    _, (request,) = warm.do("tick", stream.environment)

    dies(warm, stream, point, "run", request)

    finished = stream.finished()
    assert stream.lost() == []
    goes_on(warm, stream)
    assert_all_is_done(stream)
    again = {pair: n for pair, n in stream.executed().items() if n > 1}
    assert not set(again) & finished, "what is finished is never done again"
    assert set(again.values()) <= {2}


@pytest.mark.parametrize("point", ["after what failed is held", "before the batch is removed"])
def test_the_message_of_a_track_that_fails_is_held_until_it_does_not(
    warm: Warm, stream: Stream, point: str
) -> None:
    asked(stream)
    stream.put("bad", text=BAD)
    stream.ask("bad")
    _, (request,) = warm.do("tick", stream.environment)

    dies(warm, stream, point, "run", request)

    assert stream.lost() == []
    goes_on(warm, stream)
    assert set(stream.hear()) == {*GOOD, "pinged"}
    mended(warm, stream)
    assert_all_is_done(stream, "bad")
    again = stream.executed()
    assert again.pop(("recording", "bad")) == 3, "in both runs, and when it was mended"
    assert set(again.values()) == {1}


def test_what_a_killed_worker_was_at_has_failed_and_is_held(warm: Warm, stream: Stream) -> None:
    asked(stream)
    _, (request,) = warm.do("tick", stream.environment)

    dies(warm, stream, "mid-run, a worker", "run", request)

    assert stream.lost() == []
    assert len(stream.recorded()) == len(GOOD) - 1
    mended(warm, stream)
    goes_on(warm, stream)
    assert_all_is_done(stream)
    assert sorted(stream.executed().values())[-2:] == [1, 2]
