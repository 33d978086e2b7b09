"""Messages are pulled, held, given back and acknowledged: with the emulator."""

import time

import pytest
from google.pubsub_v1.types import pubsub
from grpc import StatusCode

from klio_dagster.errors import ConfigError
from klio_dagster.pubsub import connection
from klio_dagster.pubsub.publish import Outgoing
from klio_dagster.pubsub.pull import Subscription
from tests.pubsub.scripted import failure

pytestmark = pytest.mark.emulator

MIB = 1024 * 1024


def answer(*data):
    """What a pull is answered."""
    messages = [
        pubsub.ReceivedMessage(ack_id=f"{each}", message=pubsub.PubsubMessage(data=content))
        for each, content in enumerate(data)
    ]
    return pubsub.PullResponse(received_messages=messages)


def everything(subscription):
    """Pulled and acknowledged, until nothing comes any more."""
    received = []
    while some := subscription.pull():
        assert subscription.acknowledge(some) == []
        received += some
    return received


def test_a_message_arrives_as_it_was_sent(publisher, topic, subscription):
    before = time.time()
    publisher.publish(topic, [Outgoing(b"\0\xff", {"sent": "tödäy"}, ordering_key="one")])

    [received] = subscription.pull()

    assert (received.data, received.attributes) == (b"\0\xff", {"sent": "tödäy"})
    assert received.ordering_key == "one"
    assert received.message_id
    assert before - 1 <= received.published_at <= time.time() + 1


def test_an_empty_subscription_answers_at_once(subscription):
    before = time.monotonic()

    assert subscription.pull() == []
    assert time.monotonic() - before < 2


def test_as_many_are_pulled_as_are_asked_for_although_the_emulator_gives_100_at_once(
    publisher, topic, subscription
):
    publisher.publish(topic, [Outgoing(b"%d" % each) for each in range(350)])

    received = subscription.pull(most=230)

    assert len({each.data for each in received}) == len(received) == 230
    assert len(subscription.pull()) == 120


def test_20_000_messages_come_each_once(publisher, topic, subscription):
    sent = {b"%d" % each for each in range(20_000)}
    publisher.publish(topic, [Outgoing(each) for each in sent])

    received = everything(subscription)

    assert len(received) == 20_000
    assert {each.data for each in received} == sent


def test_large_messages_are_pulled_up_to_a_number_of_bytes(publisher, topic, subscription):
    publisher.publish(topic, [Outgoing(bytes(MIB // 4))] * 8)
    pull_of_one = subscription.pull(most=1)

    received = subscription.pull(most_bytes=MIB)

    assert len(pull_of_one) == 1
    assert sum(len(each.data) for each in received) >= MIB


def test_an_answer_that_would_fill_the_memory_is_given_up_and_a_smaller_one_asked_for(
    monkeypatch, scripted
):
    options = dict(connection.CHANNEL_OPTIONS) | {"grpc.max_receive_message_length": MIB}
    monkeypatch.setattr(connection, "CHANNEL_OPTIONS", tuple(options.items()))
    scripted.script("Pull", [answer(b"1"), answer(bytes(2 * MIB)), answer(b"2"), None])

    received = Subscription(scripted.settings, "tracks").pull()

    assert [each.data for each in received] == [b"1", b"2"]
    assert [each.max_messages for each in scripted.requests["Pull"]] == [10, 999, 10, 998]


def test_of_large_messages_no_more_are_asked_for_than_fit(scripted):
    scripted.script("Pull", [answer(*[bytes(1000)] * 10), answer(*[bytes(1000)] * 5)])

    received = Subscription(scripted.settings, "tracks").pull(most_bytes=15_000)

    assert len(received) == 15
    assert [each.max_messages for each in scripted.requests["Pull"]] == [10, 4]


def test_what_came_before_a_failure_is_returned(scripted):
    scripted.script("Pull", [answer(b"1"), failure(StatusCode.PERMISSION_DENIED)])

    received = Subscription(scripted.settings, "tracks").pull()

    assert [each.data for each in received] == [b"1"]


def test_9_mb_go_both_ways(publisher, topic, subscription):
    data = bytes(9_000_000)
    publisher.publish(topic, [Outgoing(data), Outgoing(b"small")])

    received = everything(subscription)

    assert sorted(len(each.data) for each in received) == [5, 9_000_000]


def test_what_is_released_comes_again_at_once(publisher, topic, subscription):
    publisher.publish(topic, [Outgoing(b"1")])
    received = subscription.pull()

    subscription.release(received)

    assert [each.message_id for each in subscription.pull()] == [received[0].message_id]


def test_messages_of_a_key_arrive_in_the_order_of_publishing(emulator, settings, publisher, topic):
    path = emulator.new_subscription(topic, enable_message_ordering=True)
    numbers = range(1_500)  # more than one batch
    publisher.publish(
        topic, [Outgoing(b"%d" % n, ordering_key=key) for n in numbers for key in ("a", "b")]
    )

    received = everything(Subscription(settings, path))

    for key in ("a", "b"):
        assert [int(each.data) for each in received if each.ordering_key == key] == [*numbers]


def test_a_subscription_knows_its_topic(topic, subscription):
    assert subscription.topic() == topic


def test_a_deleted_subscription_that_is_made_again_works_again(
    emulator, settings, publisher, topic
):
    path = emulator.new_subscription(topic, "made-again")
    subscription = Subscription(settings, "made-again")
    subscription.pull()
    emulator.delete_subscription(path)
    emulator.new_subscription(topic, "made-again")
    publisher.publish(topic, [Outgoing(b"1")])

    assert [each.data for each in subscription.pull()] == [b"1"]


def test_a_slow_tick_keeps_its_messages(emulator, settings, publisher, topic):
    path = emulator.new_subscription(topic, ack_deadline_seconds=10)
    subscription = Subscription(settings, path)
    publisher.publish(topic, [Outgoing(b"kept")])

    with subscription.leased():
        subscription.pull()
        time.sleep(11.5)
        meanwhile = subscription.pull()

    assert meanwhile == []


def test_messages_are_kept_as_long_as_pubsub_takes(subscription):
    for seconds in (0, 601):
        with pytest.raises(ConfigError, match="use 1 to 600"):
            subscription.extend([], seconds)


def test_nobody_calls_for_nothing(scripted):
    subscription = Subscription(scripted.settings, "tracks")

    assert subscription.acknowledge([]) == subscription.extend([], 60) == []
    subscription.release([])

    assert not scripted.requests
