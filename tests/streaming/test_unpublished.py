"""What is recorded and cannot be published now is published later, once, and nothing waits for it.

Nor is any of it computed again.
"""

import pytest

from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.core.letter import Asked, Letter
from klio_dagster.errors import PubSubError
from klio_dagster.message import Message, encode, new_message
from klio_dagster.store.kept import hold
from klio_dagster.store.layout import OUTBOX_PREFIX, held_prefix
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
    team.put("large", "b")
    team.send(encode(Message(entity_id="large", payload=TOO_LARGE)), encode(new_message("b")))
    topic_is_gone(team)
    team.follow()
    assert len(outbox(team)) == 1
    topic_is_back(team)

    team.tick()

    assert outbox(team) == []
    assert [m.entity_id for m in team.told()] == ["b"]
    assert [(d.reason, d.entity) for d in team.dead()] == [("refused", "large")]


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


def test_a_message_for_an_entity_that_is_whole_by_now_is_counted_as_passed_on(
    team: Team,
) -> None:
    team.put("a")
    team.ask("a")
    topic_is_gone(team)
    team.follow()
    topic_is_back(team)

    said = team.evaluate().skip_reason

    assert said is not None
    assert "passed on 1" in str(said)
