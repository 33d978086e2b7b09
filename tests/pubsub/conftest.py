"""The emulator, a topic with a subscription on it, and a server that fails as it is told."""

import pytest

from klio_dagster.pubsub.publish import Publisher
from klio_dagster.pubsub.pull import Subscription
from klio_dagster.pubsub.settings import Settings
from tests.pubsub.scripted import ScriptedPubSub


@pytest.fixture
def emulator(pubsub_emulator):
    return pubsub_emulator


@pytest.fixture
def settings(emulator):
    return Settings(emulator.project, emulator_host=emulator.host)


@pytest.fixture
def publisher(settings):
    return Publisher(settings)


@pytest.fixture
def topic(emulator):
    return emulator.new_topic()


@pytest.fixture
def subscription(emulator, settings, topic):
    return Subscription(settings, emulator.new_subscription(topic))


@pytest.fixture
def scripted():
    with ScriptedPubSub() as server:
        yield server
