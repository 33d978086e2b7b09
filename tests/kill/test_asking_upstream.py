"""A process dies at each durable step of a missing input's way: all that waits is there."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from klio_dagster.store.kept import all_waiting
from tests.kill import points
from tests.kill.dying import GOOD, dies, goes_on
from tests.kill.stream import Stream
from tests.kill.streamed_defs import ASSETS
from tests.kill.warm import Warm
from tests.services.pubsub import PubSubEmulator

pytestmark = [pytest.mark.kill, pytest.mark.emulator]

# Nobody knows of these any more that they were asked for.
ASKED_TWICE = {"after upstream is asked": GOOD, "after the second of them waits": GOOD[2:]}


def waiting(stream: Stream) -> Sequence[str]:
    return sorted(each.asked.entity for each in all_waiting(stream.store, ASSETS[0]))


def follows(warm: Warm, stream: Stream, times: int) -> None:
    """The daemon comes back, and ticks."""
    for _ in range(times):
        warm.do("follow", stream.environment)
        assert stream.lost() == []


@pytest.mark.parametrize("point", points.PUT_ASIDE)
def test_a_run_that_dies_putting_aside_what_it_lacks(
    warm: Warm, upstream: Stream, point: str
) -> None:
    upstream.ask(*GOOD)
    _, (request,) = warm.do("tick", upstream.environment)

    dies(warm, upstream, point, "run", request)

    assert upstream.lost() == []
    follows(warm, upstream, 2)
    assert upstream.batches() == []
    assert set(waiting(upstream)) == set(GOOD)
    assert upstream.heard_upstream() == Counter(GOOD)


@pytest.mark.parametrize("point", points.ASK)
def test_a_tick_that_dies_asking_upstream(warm: Warm, upstream: Stream, point: str) -> None:
    upstream.ask(*GOOD)
    warm.do("follow", upstream.environment)

    dies(warm, upstream, point, "tick")

    assert upstream.lost() == []
    follows(warm, upstream, 1)
    assert waiting(upstream) == GOOD
    twice = ASKED_TWICE.get(point, [])
    assert upstream.heard_upstream() == Counter([*GOOD, *twice])


@pytest.mark.parametrize("point", points.COME)
def test_a_tick_that_dies_taking_in_what_has_waited(
    warm: Warm, upstream: Stream, point: str
) -> None:
    upstream.ask(*GOOD)
    follows(warm, upstream, 2)
    upstream.put(*GOOD)

    dies(warm, upstream, point, "tick")

    assert upstream.lost() == []
    goes_on(warm, upstream)
    assert upstream.recorded() == set(GOOD)
    assert set(upstream.hear()) == set(GOOD)
    assert set(upstream.executed().values()) == {1}
    assert upstream.left_behind() == []
    assert upstream.heard_upstream() == Counter(GOOD)


@pytest.mark.parametrize("point", points.LATE)
def test_a_tick_that_dies_giving_up_what_has_waited(
    warm: Warm, tmp_path: Path, pubsub_emulator: PubSubEmulator, point: str
) -> None:
    trigger = {"look_every_s": 0.0, "wait_s": 0.001}
    late = Stream(tmp_path, pubsub_emulator, upstream=True, trigger=trigger)
    late.ask(*GOOD)
    warm.do("follow", late.environment)
    dies(warm, late, "after what was put aside is gone", "tick")

    dies(warm, late, point, "tick")

    assert late.lost() == []
    follows(warm, late, 2)
    assert sorted(str(each.entity) for each in late.dead()) == GOOD
    assert {each.reason for each in late.dead()} == {"input_missing"}
    assert {pair.entity for pair in late.failed()} == set(GOOD)
    assert late.left_behind() == []
