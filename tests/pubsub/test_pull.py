import pytest

from klio_dagster.pubsub.publish import Outgoing, Publisher
from klio_dagster.pubsub.pull import Subscription
from klio_dagster.pubsub.settings import Settings

pytestmark = pytest.mark.emulator


def test_what_was_acknowledged_does_not_come_again(pubsub_emulator):
    settings = Settings(pubsub_emulator.project, emulator_host=pubsub_emulator.host)
    topic = pubsub_emulator.new_topic()
    subscription = Subscription(settings, pubsub_emulator.new_subscription(topic))
    Publisher(settings).publish(topic, [Outgoing(b"1", {"sent": "today"}), Outgoing(b"2")])

    received = subscription.pull()
    subscription.acknowledge(received)

    assert sorted((each.data, each.attributes) for each in received) == [
        (b"1", {"sent": "today"}),
        (b"2", {}),
    ]
    assert subscription.pull() == []
