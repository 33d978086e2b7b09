"""A stream's processes die at a point, and the next ones go on."""

import signal
from typing import Any

from tests.kill import points
from tests.kill.stream import Stream
from tests.kill.streamed_defs import GROUP
from tests.kill.warm import Warm

GOOD = [f"e-{n}" for n in range(5)]
_AT_ONCE: dict[str, Any] = {
    "klio_dagster.streaming.requests:_PAUSES_S": [0.0],
    # A run that had not even begun is waited for for five minutes.
    "klio_dagster.defs.liveness:_TO_CLAIM_S": 0.0,
}
_ROUNDS = 4


def dies(warm: Warm, stream: Stream, point: str, deed: str, *asked: Any) -> None:
    """Do it, and die of it."""
    points.arm(stream.folder, point)
    with_driver = point in points.MID_RUN
    code, _ = warm.do(deed, stream.environment, _AT_ONCE, asked, with_driver=with_driver)
    assert points.has_died(stream.folder), "nobody came to the point"
    of_the_run = points.ALL[point].at not in {points.A_WORKER, points.THE_DRIVER}
    assert code == (-signal.SIGKILL if of_the_run else 0)
    stream.let_leases_run_out()
    assert stream.too_early() == set()


def run_of(entities: Any) -> dict[str, Any]:
    """What a person requests."""
    return {
        "run_config": {"ops": {GROUP: {"config": {"entities": entities}}}},
        "tags": {"dagster/defer_asset_events": "true"},
    }


def goes_on(warm: Warm, stream: Stream) -> None:
    """The daemon comes back, and ticks until nothing is left; and the next run has nothing to do.

    The claim of a run that died with everything done is cleared away by the next one.
    """
    for _ in range(_ROUNDS):
        warm.do("follow", stream.environment, _AT_ONCE)
        stream.let_leases_run_out()
        assert stream.lost() == []
        if not stream.batches() and not stream.in_topic():
            break
    else:
        raise AssertionError(f"after {_ROUNDS} ticks there is still something in the inbox")
    done = stream.executed()
    warm.do("run", stream.environment, _AT_ONCE, [run_of("missing")])
    assert stream.executed() == done


def mended(warm: Warm, stream: Stream) -> None:
    """Somebody mends what failed, and runs it again."""
    stream.put("bad")
    warm.do("run", stream.environment, _AT_ONCE, [run_of("failed")])


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
