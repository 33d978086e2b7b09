"""The same where messages are kept outside of the inbox, or more than one run is about them."""

import dagster as dg
import pytest

from klio_dagster.core.letter import Letter
from klio_dagster.message import encode, new_message
from klio_dagster.store.dead_letter import DeadLetter, put
from klio_dagster.store.open_claim import open_claim
from klio_dagster.streaming.dead_letter import replay
from klio_dagster.streaming.requests import ATTEMPT_TAG, BATCH_TAG, MOST_ATTEMPTS
from tests.kill.dying import GOOD, asked, assert_all_is_done, dies, goes_on, run_of
from tests.kill.stream import NUMBER, Sent, Stream
from tests.kill.streamed_defs import ASSETS, GROUP, SENSOR, TRACKS
from tests.kill.warm import Warm

pytestmark = [pytest.mark.kill, pytest.mark.emulator]


@pytest.mark.parametrize(
    "point",
    [
        "after the only published receipt",
        "before the batch is removed",
        "after the batch is removed",
    ],
)
def test_a_tick_that_dies_passing_on_what_is_up_to_date(
    warm: Warm, stream: Stream, point: str
) -> None:
    asked(stream)
    goes_on(warm, stream)
    stream.forget()
    stream.ask(*GOOD)

    dies(warm, stream, point, "tick")

    assert stream.lost() == []
    goes_on(warm, stream)
    assert set(stream.hear()) == {*GOOD}
    assert stream.left_behind() == []
    assert set(stream.executed().values()) == {1}


@pytest.mark.parametrize(
    "point",
    [
        "before it says that it waited",
        "before the rest is written",
        "after the rest is written",
    ],
)
def test_a_run_that_dies_while_another_one_holds_a_track(
    warm: Warm, stream: Stream, point: str
) -> None:
    asked(stream)
    _, (request,) = warm.do("tick", stream.environment)
    other = open_claim(stream.store, "another", assets=ASSETS)

    dies(warm, stream, point, "run", request)

    assert stream.lost() == []
    other.close()
    goes_on(warm, stream)
    assert_all_is_done(stream)
    assert set(stream.executed().values()) == {1}


@pytest.mark.parametrize(
    ("died", "point"),
    [
        ("after the ledger, before the publish", "before its outbox is written"),
        ("after the ledger, before the publish", "after its outbox is written"),
        ("inside the publish", "before the outbox is published"),
        ("after the ledger, before the publish", "after the outbox is published"),
    ],
)
def test_who_settles_a_dead_run_dies(warm: Warm, stream: Stream, died: str, point: str) -> None:
    stream.put(*GOOD)
    with stream.instance() as instance:
        instance.add_dynamic_partitions(TRACKS.name, GOOD)
    dies(warm, stream, died, "run", run_of("all"))

    dies(warm, stream, point, "run", run_of("all"))

    warm.do("run", stream.environment, asked=[run_of("all")])
    assert stream.recorded() == {*GOOD}
    assert set(stream.hear()) == {*GOOD}
    assert stream.left_behind() == []
    assert set(stream.executed().values()) == {1}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("is_forced", [False, True], ids=["", "forced"])
def test_who_can_tell_nobody_dies(warm: Warm, stream: Stream, when: str, is_forced: bool) -> None:
    stream.put(*GOOD)
    stream.ask(*GOOD, force=is_forced)
    _, (request,) = warm.do("tick", stream.environment)

    dies(warm, stream, f"{when} the outbox is written", "run", request)

    assert stream.lost() == []
    goes_on(warm, stream)
    assert stream.recorded() == {*GOOD}
    assert set(stream.hear()) == {*GOOD}
    assert stream.left_behind() == []
    assert max(stream.executed().values()) <= 1 + is_forced


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_is_refused_by_the_topic_dies(warm: Warm, stream: Stream, when: str) -> None:
    stream.put(*GOOD)
    stream.ask(*GOOD)
    _, (request,) = warm.do("tick", stream.environment)

    dies(warm, stream, f"{when} what is refused is kept", "run", request)

    assert stream.lost() == []
    goes_on(warm, stream)
    assert stream.recorded() == {*GOOD}
    assert set(stream.hear()) == {*GOOD}, "what refused them was the process that died"
    assert stream.left_behind() == []
    assert set(stream.executed().values()) == {1}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tick_that_dies_before_it_lets_go_of_a_replayed_message(
    warm: Warm, stream: Stream, when: str
) -> None:
    stream.put(GOOD[0])
    letter = Letter(data=encode(new_message(GOOD[0])), attributes={NUMBER: "0"})
    about = {"group": GROUP, "sensor": SENSOR, "entity": GOOD[0]}
    put(stream.store, DeadLetter(**about, reason="failed", error="-", at=1.0, letter=letter))
    stream.sent = [Sent("0", GOOD[0])]
    replay(stream.store, [letter.id])

    dies(warm, stream, f"{when} the batch of what was kept", "tick")

    assert stream.lost() == []
    goes_on(warm, stream)
    assert stream.recorded() == {GOOD[0]}
    assert stream.left_behind() == []
    assert set(stream.executed().values()) == {1}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tick_that_dies_giving_up_a_batch(warm: Warm, stream: Stream, when: str) -> None:
    stream.ask(*GOOD)
    _, (request,) = warm.do("tick", stream.environment)
    with stream.instance() as instance:
        for attempt in range(1, MOST_ATTEMPTS + 1):
            tags = {BATCH_TAG: request["tags"][BATCH_TAG], ATTEMPT_TAG: str(attempt)}
            status = dg.DagsterRunStatus.FAILURE
            instance.add_run(dg.DagsterRun(job_name=SENSOR, tags=tags, status=status))

    dies(warm, stream, f"{when} the letters of a batch given up", "tick")

    assert stream.lost() == []
    goes_on(warm, stream)
    assert sorted(str(each.entity) for each in stream.dead()) == GOOD
    assert {each.reason for each in stream.dead()} == {"run_failed"}
    assert stream.left_behind() == []
