"""Subscriptions of all kinds, and what is wrong with them: one line each, then recovery."""

from collections.abc import Sequence

import pytest

from klio_dagster.errors import PubSubError
from klio_dagster.message import encode, new_message
from klio_dagster.pubsub.publish import Outgoing
from klio_dagster.pubsub.pull import Received, Subscription
from tests.flows.catalogue import Catalogue, all_of
from tests.services.pubsub import PubSubEmulator
from tests.streaming.team import Team

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"enable_message_ordering": True}, id="ordered"),
        pytest.param({"enable_exactly_once_delivery": True}, id="exactly once"),
    ],
)
def test_every_message_of_a_subscription_is_computed_and_passed_on(
    settings: dict[str, bool], catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    team = Team(catalogue, pubsub_emulator, subscribing=settings)
    entities = [f"e{number}" for number in range(7)]
    team.put(*entities)
    ordered = [
        Outgoing(encode(new_message(entity)), {}, ordering_key=f"key-{number % 2}")
        for number, entity in enumerate(entities)
    ]
    team.pubsub.publisher().publish(team.hears, ordered)

    while team.left_in_topic() or team.inbox():
        team.follow()

    assert team.catalogue.materialized("report") == set(entities)
    assert {m.entity_id for m in team.told()} == set(entities)


def test_a_missing_subscription_is_one_failed_tick_until_it_is_there(team: Team) -> None:
    team.put("a")
    team.emulator.delete_subscription(team.subscription)

    with pytest.raises(PubSubError, match="does not exist") as refused:
        team.tick()

    assert "\n" not in str(refused.value)
    assert "gcloud pubsub subscriptions create" in str(refused.value)
    team.emulator.new_subscription(team.hears, team.subscription.rpartition("/")[2])
    team.ask("a")
    (run,) = team.follow()
    assert run.counts("materialized") == all_of(1)


def test_what_is_in_the_inbox_goes_on_while_the_server_is_gone(team: Team) -> None:
    team.put("a")
    team.ask("a")
    (first,) = team.tick()
    team.emulator.delete_subscription(team.subscription)

    (again,) = team.tick()

    assert again.run_key == first.run_key
    assert team.run(again).counts("materialized") == all_of(1)
    with pytest.raises(PubSubError, match="does not exist"):
        team.tick()


def test_a_missing_topic_downstream_keeps_the_message_until_it_is_there(team: Team) -> None:
    assert team.topic is not None
    team.put("a")
    team.ask("a")
    team.emulator.delete_topic(team.topic)

    (run,) = team.follow()

    assert not run.success
    assert "does not exist" in run.error
    assert "gcloud pubsub topics create" in run.error
    assert "\n" not in run.error
    assert team.catalogue.materialized("report") == {"a"}, "it is recorded all the same"
    team.emulator.new_topic(team.topic.rpartition("/")[2])
    team.listen_downstream()
    assert team.follow() == [], "all that was left was to pass it on"
    assert [m.entity_id for m in team.told()] == ["a"]


def test_a_missing_topic_stops_no_run_of_partitions_and_is_told_later(team: Team) -> None:
    assert team.topic is not None
    team.put("a")
    team.catalogue.register("a")
    team.emulator.delete_topic(team.topic)

    run = team.run_with(entities="all")

    assert "does not exist" in run.error
    assert team.catalogue.materialized("report") == {"a"}
    team.emulator.new_topic(team.topic.rpartition("/")[2])
    team.listen_downstream()
    team.tick()
    assert [m.entity_id for m in team.told()] == ["a"]


def test_nothing_is_pulled_while_as_many_batches_are_unfinished_as_may_be(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Team(catalogue, pubsub_emulator, options={"max_messages": 2, "max_inbox_batches": 2})
    entities = [f"e{number}" for number in range(6)]
    team.put(*entities)
    team.ask(*entities)
    pull, delivered = Subscription.pull, []

    def counted(subscription: Subscription, *arguments: int) -> Sequence[Received]:
        received = pull(subscription, *arguments)
        delivered.extend(received)
        return received

    monkeypatch.setattr(Subscription, "pull", counted)

    first = team.evaluate()

    assert len(delivered) == 4, "what there is no room for is left to others"
    full = team.evaluate()

    assert len(first.run_requests or ()) == 2
    assert team.inbox() == entities[:4]
    assert len(team.left_in_topic()) == 2
    assert [r.run_key for r in full.run_requests or ()] == [
        r.run_key for r in first.run_requests or ()
    ]
    for request in first.run_requests or ():
        team.run(request)
    while team.left_in_topic() or team.inbox():
        team.follow()
    assert team.catalogue.materialized("report") == set(entities)
