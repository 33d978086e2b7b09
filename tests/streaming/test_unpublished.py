"""What is recorded and cannot be published now is published later, once, and nothing waits for it.

Nor is any of it computed again.
"""

import time
from collections.abc import Sequence

import pytest

from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.core.letter import Asked, Letter, TakenIn
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.sending import Sending
from klio_dagster.errors import PubSubError
from klio_dagster.message import Message, encode, new_message
from klio_dagster.pubsub.publish import Outgoing
from klio_dagster.store.kept import hold
from klio_dagster.store.layout import OUTBOX_PREFIX, held_prefix
from klio_dagster.store.outbox import leave
from klio_dagster.store.receipts import ReceiptPart
from klio_dagster.store.removed import bury
from tests.flows.catalogue import Catalogue, all_of
from tests.flows.test_claims_of_others import claim
from tests.services.pubsub import PubSubEmulator
from tests.streaming.team import Team

pytestmark = pytest.mark.emulator

TOO_LARGE = b"x" * 9_999_950
"""Pub/Sub takes it; with us in the audit log it is too large to be passed on."""


def topic_is_gone(team: Team) -> None:
    assert team.topic is not None
    team.emulator.delete_topic(team.topic)


def topic_is_back(team: Team) -> None:
    assert team.topic is not None
    team.emulator.new_topic(team.topic.rpartition("/")[2])
    team.listen_downstream()


def outbox(team: Team) -> list[str]:
    return [info.path for info in team.catalogue.store.list(OUTBOX_PREFIX)]


def test_a_batch_is_done_once_all_of_it_is_recorded_whether_others_can_be_told_or_not(
    team: Team,
) -> None:
    team.put("a", "b")
    team.ask("a", "b", force=True)
    topic_is_gone(team)

    (run,) = team.follow()

    assert "does not exist" in run.error
    assert "the next run or tick publishes it" in run.error
    assert team.inbox() == []
    for _ in range(3):
        with pytest.raises(PubSubError, match="does not exist"):
            team.tick()
    assert team.dead() == []
    topic_is_back(team)
    assert team.tick() == [], "what was forced is not computed again"
    assert sorted(m.entity_id for m in team.told()) == ["a", "b"]
    assert all(message.force for message in team.told())
    assert outbox(team) == []


def test_what_messages_said_is_said_when_it_is_published_later(team: Team) -> None:
    team.put("a")
    team.send(encode(Message(entity_id="a", payload=b"said")))
    topic_is_gone(team)
    team.follow()
    topic_is_back(team)

    team.tick()

    (told,) = team.told()
    assert (told.entity_id, told.payload) == ("a", b"said")
    assert [entry.job for entry in told.audit_log] == [team.job]


def test_what_is_up_to_date_leaves_the_inbox_while_nobody_can_be_told(team: Team) -> None:
    team.put("a")
    team.ask("a")
    team.follow()
    team.told()
    topic_is_gone(team)
    team.ask("a")

    with pytest.raises(PubSubError, match="does not exist"):
        team.tick()

    assert team.inbox() == []
    topic_is_back(team)
    assert team.tick() == []
    assert [m.entity_id for m in team.told()] == ["a"]


def test_a_missing_topic_upstream_keeps_nothing_from_being_passed_on(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    gone = pubsub_emulator.new_topic()
    maker = UpstreamTrigger(JobId("their-project", "maker"), gone)
    team = Team(catalogue, pubsub_emulator, upstream=maker)
    pubsub_emulator.delete_topic(gone)
    team.put("a")
    team.ask("a", "lacking")
    team.follow()
    team.told()
    team.ask("a")
    team.ask("pinged", ping=True)

    with pytest.raises(PubSubError, match=gone):
        team.tick()

    assert sorted(m.entity_id for m in team.told()) == ["a", "pinged"]
    assert team.inbox() == []


def test_a_run_that_waited_for_others_tells_all_it_has_recorded(team: Team) -> None:
    team.put("a", "b", "c")
    team.catalogue.register("a", "b", "c")
    topic_is_gone(team)
    holding = claim(team.catalogue.store, ["c"])

    run = team.run_with(entities="all", max_wait_s=0.5)

    assert run.counts("materialized") == all_of(2)
    assert run.counts("waiting") == all_of(1)
    holding.close()
    topic_is_back(team)
    team.tick()
    assert sorted(m.entity_id for m in team.told()) == ["a", "b"]


def test_what_the_topic_never_takes_is_a_dead_letter_and_stops_no_later_run(team: Team) -> None:
    team.put("large", text=b"bad")
    team.send(encode(Message(entity_id="large", payload=TOO_LARGE)))
    team.follow()
    team.put("large")

    mended = team.run_with(entities=["large"])

    assert mended.counts("materialized") == all_of(1)
    assert "too large" in mended.error
    assert "klio dead-letter list" in mended.error
    (dead,) = team.dead()
    assert (dead.reason, dead.entity, dead.sensor) == ("refused", "large", team.sensor.name)
    assert list(team.catalogue.store.list(held_prefix(team.name))) == []
    team.put("b")
    team.ask("large", "b")
    (run,) = team.follow()
    assert run.success
    assert sorted(m.entity_id for m in team.told()) == ["b", "large"]


def test_what_waits_in_the_outbox_and_is_refused_keeps_nothing_else_there(team: Team) -> None:
    said = {
        "large": encode(Message(entity_id="large", payload=TOO_LARGE)),
        "b": encode(new_message("b")),
    }
    letters = {entity: Letter(data=data, forward=data) for entity, data in said.items()}
    asked = [Asked(entity=entity, letters=(letter,)) for entity, letter in letters.items()]
    left = [TakenIn(sensor=team.sensor.name, asked=each) for each in asked]
    leave(team.catalogue.store, team.name, "work", left)

    with pytest.raises(PubSubError, match="too large") as told:
        team.tick()

    assert "klio dead-letter list" in str(told.value)
    assert outbox(team) == []
    assert [m.entity_id for m in team.told()] == ["b"]
    assert [(d.reason, d.entity) for d in team.dead()] == [("refused", "large")]
    assert team.tick() == []


def test_a_spoilt_outbox_stops_no_other_and_no_message(team: Team) -> None:
    team.put("a", "b")
    team.ask("a")
    topic_is_gone(team)
    team.follow()
    team.catalogue.store.put(f"{OUTBOX_PREFIX}{team.name}/0.jsonl", b"spoilt\n")
    topic_is_back(team)
    team.ask("b")

    (run,) = team.follow()

    assert run.success
    assert sorted(m.entity_id for m in team.told()) == ["a", "b"]


def test_a_spoilt_held_message_keeps_no_tick_from_pulling(team: Team) -> None:
    team.put("a", "b")
    team.ask("a")
    team.follow()
    team.told()
    store = team.catalogue.store
    message = encode(new_message("a"))
    unreadable = Letter(data=message, message_id="1", forward=b"\xff\xff")
    hold(store, team.name, team.sensor.name, Asked(entity="a", letters=(unreadable,)))
    store.put(f"{held_prefix(team.name)}a=spoilt", b"spoilt\n")
    team.deploy()  # it looks now and then, and for the first time at once
    team.ask("b")

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    assert "b" in [m.entity_id for m in team.told()]
    assert [(d.reason, d.letter.data) for d in team.dead()] == [("undecodable", message)]


def test_a_tick_says_what_it_passed_on_and_what_is_left(
    team: Team, capfd: pytest.CaptureFixture[str]
) -> None:
    team.put("a", "b")
    team.ask("a", "b")
    topic_is_gone(team)
    team.follow()
    with pytest.raises(PubSubError):
        team.tick()
    assert "outbox 1 file," in capfd.readouterr().err
    topic_is_back(team)

    said = str(team.evaluate().skip_reason)

    assert "passed on 2" in said
    assert "outbox" not in said


def test_who_knows_no_topic_leaves_what_is_to_be_published(team: Team) -> None:
    team.put("a")
    team.ask("a")
    topic_is_gone(team)
    team.follow()
    topic, team.topic = team.topic, None
    team.deploy()

    assert team.run_with(entities="all").success
    assert len(outbox(team)) == 1
    team.topic = topic
    team.deploy()
    topic_is_back(team)
    team.tick()
    assert [m.entity_id for m in team.told()] == ["a"]


def test_what_is_held_stays_held_until_the_entity_is_whole(team: Team) -> None:
    team.put("bad", text=b"bad")
    team.send(encode(Message(entity_id="bad", payload=b"said")))
    team.follow()

    team.ask("bad", ping=True)
    team.follow()
    team.run_with(entities=["bad"], select=["recording"])

    assert [m.ping for m in team.told()] == [True]
    team.put("bad")
    team.run_with(entities=["bad"])
    assert [m.payload for m in team.told()] == [b"said"]


def test_a_spoilt_held_message_makes_nobody_say_anything(team: Team) -> None:
    team.put("a")
    team.ask("a")
    team.follow()
    team.told()
    team.catalogue.store.put(f"{held_prefix(team.name)}a=spoilt", b"spoilt\n")

    for _ in range(2):
        team.deploy()  # it looks now and then, and for the first time at once
        team.tick()
    team.run_with(entities="all")

    assert team.told() == []


def test_what_a_live_run_has_recorded_is_told_by_who_computed_it_again(team: Team) -> None:
    team.put("a")
    team.ask("a")
    team.follow()
    team.told()
    holding = claim(team.catalogue.store, ["another"])
    part = ReceiptPart(team.catalogue.store, holding.claim.work_id, "1")
    part.write(Receipt(run=holding.claim.work_id, entity="a", asset="mel", finished_at=time.time()))
    part.close()
    team.ask("a", force=True)

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    assert [m.entity_id for m in team.told()] == ["a"]
    assert team.inbox() == []


def test_who_was_taken_down_is_not_told_of_any_more(team: Team) -> None:
    team.put("a", "b")
    team.ask("a", "b")
    topic_is_gone(team)
    team.follow()
    bury(team.catalogue.store, ["a"], at=1.0)
    topic_is_back(team)

    team.tick()

    assert [m.entity_id for m in team.told()] == ["b"]
    assert outbox(team) == []


class Silent:
    """A post that lets its caller wait, and does not answer."""

    def __init__(self, clock: list[float]) -> None:
        self.clock, self.tried = clock, 0

    def publish(self, topic: str, messages: Sequence[Outgoing]) -> None:
        self.tried += 1
        self.clock[0] += 12.0
        raise PubSubError("it does not answer", topic, "wait", transient=True)


def test_a_topic_that_does_not_answer_is_left_alone_for_a_minute() -> None:
    clock = [0.0]
    post = Silent(clock)
    sending = Sending("tracks", lambda: post, monotonic=lambda: clock[0])

    for _ in range(3):
        assert set(sending.send([b"a", b"b"])) == {0, 1}
    assert post.tried == 1
    clock[0] += 61.0
    sending.send([b"a"])

    assert post.tried == 2
