"""What was tried too often goes to the dead letters, once, and nothing is lost on the way."""

import time
from typing import Any

import pytest

from klio_dagster.core.receipt import Receipt
from klio_dagster.message import PlainIds, decode, encode, new_message
from klio_dagster.store.given_up import given_up
from klio_dagster.store.kept import held_entities
from klio_dagster.streaming import giving_up, retry_sensor
from klio_dagster.streaming.dead_letter import drop, send_back
from klio_dagster.streaming.settings import message_sensors
from tests.flows.catalogue import Catalogue, all_of
from tests.ledger.catalogue import new_run
from tests.services.pubsub import PubSubEmulator
from tests.streaming.retrier import HOUR_S, Retrier, answered, held_message, tried_in_vain
from tests.streaming.team import Team


def test_a_message_fails_three_times_is_given_up_mended_replayed_and_passed_on(
    retrier: Retrier,
) -> None:
    team = retrier.team
    store = team.catalogue.store
    team.put("bad", text=b"bad")
    team.ask("bad")
    assert answered(team).counts("failed") == all_of(1)
    for _ in range(2):
        assert team.dead() == []
        retrier.later_s += HOUR_S
        assert retrier.follow().counts("failed") == all_of(1)

    assert retrier.tick() == "1 moved to the dead letters"

    (dead,) = team.dead()
    assert (dead.entity, dead.reason, dead.attempts) == ("bad", "failed", 3)
    assert (dead.group, dead.sensor) == ("work", team.sensor.name)
    assert dead.error.startswith("recording: ValueError: it says bad (")
    assert dead.letter.data == encode(new_message("bad"))
    assert dead.letter.message_id
    assert held_entities(store, "work") == {}
    assert retrier.tick() == "1 given up before"

    team.put("bad", text=b"mended")
    send_back(store, dead)

    assert answered(team).counts("materialized") == all_of(1)
    assert [m.entity_id for m in team.told()] == ["bad"]
    assert team.dead() == []
    assert retrier.tick() == "nothing to be tried again"
    assert given_up(store, "work") == {}


def test_an_entity_that_came_without_a_message_gets_one_that_can_be_replayed(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    """Whatever the sensor of its group reads otherwise."""
    team = Team(catalogue, pubsub_emulator, options={"decoder": PlainIds()})
    retrier = Retrier(team, {"max_attempts": 1})
    tried_in_vain(team, "bad")
    retrier.tick()
    (dead,) = team.dead()
    made = decode(dead.letter.data, job=team.job)
    assert (made.entity_id, made.version, dead.sensor) == ("bad", 2, "")
    team.put("bad", text=b"mended")
    # As `klio dead-letter replay` finds it.
    ((name, settings),) = message_sensors([team.sensor, retrier.sensor]).items()
    assert settings.group.name == dead.group

    send_back(catalogue.store, dead, to=lambda _: name)

    assert answered(team).counts("materialized") == all_of(1)
    assert [m.entity_id for m in team.told()] == ["bad"]


def test_a_dropped_dead_letter_does_not_come_back(retrier: Retrier) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    held_message(team, "bad")
    retrier.tick()
    drop(team.catalogue.store, [team.dead()[0].id])

    retrier.later_s = 100 * HOUR_S

    assert retrier.tick() == "1 given up before"
    assert team.dead() == []


def test_whoever_tries_it_after_it_was_given_up_gives_it_all_attempts_anew(
    retrier: Retrier,
) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    letter = held_message(team, "bad")
    retrier.tick()
    tried_in_vain(team, "bad")
    assert "1 resting" in str(retrier.tick())
    tried_in_vain(team, "bad", times=2)

    assert retrier.tick() == "1 moved to the dead letters"

    found = {(dead.attempts, dead.sensor, dead.letter.data) for dead in team.dead()}
    assert found == {
        (3, team.sensor.name, letter.data),
        (6, "", encode(new_message("bad"))),
    }
    assert len(given_up(team.catalogue.store, "work")["bad"].paths) == 1


class Died(BaseException):
    """The process was killed."""


@pytest.mark.parametrize("step", ["put_all", "remember"])
def test_a_kill_while_an_entity_is_given_up_repeats_what_was_done_and_loses_nothing(
    retrier: Retrier, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    letter = held_message(team, "bad", force=True)
    does = getattr(giving_up, step)

    def dies(*given: Any) -> None:
        does(*given)
        raise Died

    with monkeypatch.context() as killing:
        killing.setattr(giving_up, step, dies)
        with pytest.raises(Died):
            retrier.tick()
    assert len(team.dead()) == 1
    assert set(held_entities(team.catalogue.store, "work")) == {"bad"}

    retrier.tick()

    (dead,) = team.dead()
    assert (dead.attempts, dead.letter) == (3, letter)
    assert held_entities(team.catalogue.store, "work") == {}
    assert retrier.tick() == "1 given up before"


def test_a_message_that_comes_while_its_entity_is_given_up_is_kept(
    retrier: Retrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    first = held_message(team, "bad")
    buries = giving_up.put_all

    def meanwhile(*given: Any) -> None:
        buries(*given)
        tried_in_vain(team, "bad")
        held_message(team, "bad", force=True)

    with monkeypatch.context() as patched:
        patched.setattr(giving_up, "put_all", meanwhile)
        retrier.tick()

    ((_, paths),) = held_entities(team.catalogue.store, "work").items()
    assert len(paths) == 1
    assert [dead.letter for dead in team.dead()] == [first]
    assert "1 resting" in str(retrier.tick())


@pytest.mark.parametrize("step", ["held_entities", "in_flight"])
def test_a_second_daemon_that_is_faster_moves_the_messages_alone(
    retrier: Retrier, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    letter = held_message(team, "bad", force=True)
    does = getattr(retry_sensor, step)

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(retry_sensor, step, does)
        found = does(*given)
        retrier.evaluate()
        return found

    monkeypatch.setattr(retry_sensor, step, meanwhile)
    retrier.evaluate()

    assert [dead.letter for dead in team.dead()] == [letter]


def test_what_a_run_makes_while_the_sensor_looks_is_not_given_up(
    retrier: Retrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    looks = retry_sensor.in_flight

    def meanwhile(*given: Any) -> Any:
        made = Receipt(run="r", entity="bad", asset="recording", finished_at=time.time(), uri="/b")
        team.catalogue.ledger.record(new_run(), [made])
        return looks(*given)

    monkeypatch.setattr(retry_sensor, "in_flight", meanwhile)
    retrier.tick()

    assert team.dead() == []


def test_what_is_given_up_is_a_dead_letter_though_its_messages_are_spoilt(retrier: Retrier) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    held_message(team, "bad")
    for path in held_entities(team.catalogue.store, "work")["bad"]:
        team.catalogue.store.put(path, b"spoilt")

    retrier.tick()

    assert [(d.reason, d.entity) for d in team.dead()] == [("failed", "bad")]


def test_messages_that_are_held_of_what_was_given_up_are_not_forgotten(retrier: Retrier) -> None:
    """Their run had recorded its failure, and was slow to put them aside."""
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    retrier.tick()
    letter = held_message(team, "bad", force=True)

    assert retrier.tick() == "1 given up before"

    assert letter in [dead.letter for dead in team.dead()]
    assert held_entities(team.catalogue.store, "work") == {}
