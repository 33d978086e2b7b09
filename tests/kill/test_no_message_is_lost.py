"""A process dies at each durable step of a message's way: nothing is lost, nothing done twice."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kill import points
from tests.kill.stream import BAD, Stream
from tests.kill.warm import Warm
from tests.services.pubsub import PubSubEmulator

pytestmark = [pytest.mark.kill, pytest.mark.emulator]

GOOD = [f"e-{n}" for n in range(5)]
AT_ONCE: dict[str, Any] = {
    "klio_dagster.streaming.requests:_PAUSES_S": [0.0],
    # A run that had not even begun is waited for for five minutes.
    "klio_dagster.streaming.requests:_TO_CLAIM_S": 0.0,
}
ROUNDS = 4


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as warm:
        yield warm


@pytest.fixture
def stream(tmp_path: Path, pubsub_emulator: PubSubEmulator) -> Stream:
    return Stream(tmp_path, pubsub_emulator)


def dies(warm: Warm, stream: Stream, point: str, deed: str, *asked: Any) -> None:
    """Do it, and die of it."""
    points.arm(stream.folder, point)
    code, _ = warm.do(deed, stream.environment, AT_ONCE, asked)
    assert points.has_died(stream.folder), "nobody came to the point"
    of_the_run = points.ALL[point].at not in {points.A_WORKER, points.THE_DRIVER}
    assert code == (-signal.SIGKILL if of_the_run else 0)
    stream.let_leases_run_out()


def goes_on(warm: Warm, stream: Stream) -> None:
    """The daemon comes back, and ticks until nothing is left."""
    for _ in range(ROUNDS):
        warm.do("follow", stream.environment, AT_ONCE)
        stream.let_leases_run_out()
        assert stream.lost() == []
        if not stream.batches() and not stream.in_topic():
            return
    raise AssertionError(f"after {ROUNDS} ticks there is still something in the inbox")


def mended(warm: Warm, stream: Stream) -> None:
    """Somebody mends what failed, and runs it again."""
    stream.put("bad")
    request = {"run_config": {"ops": {"work": {"config": {"entities": "failed"}}}}}
    request["tags"] = {"dagster/defer_asset_events": "true"}
    warm.do("run", stream.environment, AT_ONCE, [request])


def asked(stream: Stream) -> None:
    """Good ones, one that is only passed on, one asked for twice, and poison."""
    stream.put(*GOOD)
    stream.ask(*GOOD)
    stream.ask("pinged", ping=True)
    stream.ask(GOOD[0])
    stream.poison()


def assert_all_is_done(stream: Stream, *others: str) -> None:
    assert stream.recorded() == {*GOOD, *others}
    assert set(stream.hear()) == {*GOOD, *others, "pinged"}
    assert [each.reason for each in stream.dead()] == ["undecodable"]
    assert stream.left_behind() == []
    assert stream.in_topic() == set()


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
