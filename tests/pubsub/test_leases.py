"""What is held is extended from a thread, and nothing else is."""

import time
from threading import Event

import pytest

from klio_dagster.errors import PubSubError
from klio_dagster.pubsub import leases
from klio_dagster.pubsub.leases import Leases

SOON_S = 0.02
PATIENCE_S = 10


class Asked:
    """Stands for Pub/Sub: what was to be extended, and what it answers."""

    def __init__(self, *answers):
        self.calls = []
        self.answers = list(answers)
        self.enough = Event()

    def __call__(self, ids, seconds):
        self.calls.append((sorted(ids), seconds))
        answer = self.answers.pop(0) if self.answers else []
        if not self.answers:
            self.enough.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def often(monkeypatch):
    """Extended again at once."""
    monkeypatch.setattr(leases, "_AGAIN_AFTER_S", 0.0)


def test_what_is_held_for_long_is_extended_by_a_minute():
    asked = Asked([])

    with Leases(asked, SOON_S) as held:
        held.add(["a", "b"])
        assert asked.enough.wait(PATIENCE_S)

    assert asked.calls[0] == (["a", "b"], 60)


def test_a_quick_tick_extends_nothing():
    asked = Asked()

    with Leases(asked) as held:
        held.add(["a"])
        time.sleep(0.1)

    assert asked.calls == []


def test_what_was_acknowledged_is_not_extended():
    asked = Asked([])

    with Leases(asked, SOON_S) as held:
        held.add(["a", "b"])
        held.drop(["a"])
        assert asked.enough.wait(PATIENCE_S)

    assert asked.calls[0] == (["b"], 60)


@pytest.mark.usefixtures("often")
def test_what_was_refused_is_not_extended_again():
    asked = Asked(["a"], [])

    with Leases(asked, SOON_S) as held:
        held.add(["a", "b"])
        assert asked.enough.wait(PATIENCE_S)

    assert asked.calls[:2] == [(["a", "b"], 60), (["b"], 60)]


@pytest.mark.usefixtures("often")
def test_a_server_that_does_not_answer_is_asked_again():
    asked = Asked(PubSubError("gone", "server", "wait", True), [])

    with Leases(asked, SOON_S) as held:
        held.add(["a"])
        assert asked.enough.wait(PATIENCE_S)

    assert asked.calls[:2] == [(["a"], 60), (["a"], 60)]


@pytest.mark.usefixtures("often")
def test_what_is_acknowledged_while_it_is_extended_is_not_held_again():
    asked = Asked([], [])

    def extend(ids, seconds):
        held.drop(["a"])
        return asked(ids, seconds)

    with Leases(extend, SOON_S) as held:
        held.add(["a", "b"])
        assert asked.enough.wait(PATIENCE_S)

    assert asked.calls[:2] == [(["a", "b"], 60), (["b"], 60)]


def test_nothing_is_extended_after_the_end():
    asked = Asked()

    with Leases(asked, SOON_S) as held:
        pass
    held.add(["a"])
    time.sleep(0.1)

    assert asked.calls == []
