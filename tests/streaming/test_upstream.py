"""A message whose input is missing asks the job that makes it, waits, and goes on."""

import pytest

from klio_dagster.message import ANYONE, Limited, encode, new_message
from tests.flows.catalogue import Catalogue, all_of
from tests.services.pubsub import PubSubEmulator
from tests.streaming.family import AT_ONCE, NEVER_S
from tests.streaming.maker import MAKER, Asked, answer, team_below, waiting
from tests.streaming.team import Team


@pytest.fixture
def team(catalogue: Catalogue, pubsub_emulator: PubSubEmulator, maker_hears: str) -> Team:
    return team_below(catalogue, pubsub_emulator, maker_hears, look_every_s=AT_ONCE)


@pytest.fixture
def asked(team: Team, pubsub_emulator: PubSubEmulator, maker_hears: str) -> Asked:
    return Asked(team, pubsub_emulator, maker_hears)


def test_a_missing_input_is_asked_for_upstream_once_and_its_message_waits(
    team: Team, asked: Asked
) -> None:
    team.ask("x", "y")

    (run,) = team.follow()
    ticks = [team.evaluate() for _ in range(3)]

    assert run.success
    assert run.counts("waiting") == all_of(2)
    assert run.summary is not None
    assert run.summary["reasons"]["recording"] == {"wait": {"input_requested": 2}}
    requests = sorted(asked(), key=lambda message: message.entity_id)
    assert [m.recipients for m in requests] == [Limited((MAKER, team.job), team.job)] * 2
    assert [m.entity_id for m in requests] == ["x", "y"]
    assert [[entry.job for entry in m.audit_log] for m in requests] == [[team.job]] * 2
    assert "inputs asked for upstream 2" in str(ticks[0].skip_reason)
    assert not any(tick.run_requests for tick in ticks)
    assert (team.inbox(), waiting(team), team.told()) == ([], ["x", "y"], [])


def test_once_the_input_is_there_the_message_is_computed_and_goes_on(
    team: Team, asked: Asked
) -> None:
    team.ask("x", force=True)
    team.follow()
    team.tick()
    team.put("x")

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    (told,) = team.told()
    assert (told.force, told.recipients) == (True, ANYONE)
    assert [m.force for m in asked()] == [False], "force is for our work, not for theirs"
    assert (team.inbox(), waiting(team), team.dead()) == ([], [], [])
    assert team.tick() == []


def test_the_answer_and_what_waits_are_one_message_downstream(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator, maker_hears: str
) -> None:
    team = team_below(catalogue, pubsub_emulator, maker_hears, look_every_s=NEVER_S)
    first, second = new_message("x", version=1), new_message("y", to=Limited((team.job,)))
    team.send(encode(first), encode(second))
    team.follow()
    team.tick()
    team.put("x", "y")

    assert team.tick() == [], "nobody looks before the message comes"
    team.send(answer(team, first), answer(team, second))
    (run,) = team.follow()

    assert run.counts("materialized") == all_of(2)
    told = {m.entity_id: m for m in team.told()}
    assert len(told) == 2
    assert (told["x"].version, told["x"].recipients) == (1, ANYONE)
    assert told["y"].recipients == Limited((team.job,))
    assert waiting(team) == []


def test_an_input_that_has_come_this_moment_is_left_to_its_message(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator, maker_hears: str
) -> None:
    team = team_below(catalogue, pubsub_emulator, maker_hears, look_every_s=600.0)
    team.ask("x")
    (request,) = team.tick()
    team.run(request)
    team.put("x")

    assert team.tick() == [], "it asks, and looks, and finds an input of this moment"

    assert waiting(team) == ["x"]


def test_several_messages_for_one_entity_ask_once_and_all_of_them_go_on(
    team: Team, asked: Asked
) -> None:
    only_us = Limited((team.job,))
    team.ask("x")
    (first,) = team.tick()
    team.ask("x", to=only_us)
    later = team.tick()[-1]
    team.run(first)
    team.run(later)
    team.tick()
    team.ask("x", force=True)
    team.follow()
    team.tick()

    assert len(asked()) == 1
    assert waiting(team) == ["x"] * 3, "none of them is written over"
    team.put("x")
    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    told = team.told()
    assert sorted((m.force, m.recipients == only_us) for m in told) == [
        (False, True),
        (True, False),
    ]
    assert waiting(team) == []


def test_an_answer_whose_input_is_not_there_asks_for_nothing_more(team: Team, asked: Asked) -> None:
    message = new_message("x")
    team.send(encode(message))
    team.follow()
    team.tick()
    asked()

    for _ in range(3):
        team.send(answer(team, message))
        team.follow()
        team.tick()

    assert asked() == []
    assert team.told() == []
    team.put("x")
    team.follow()
    assert len(team.told()) == 1


def test_a_ping_asks_for_nothing_and_does_not_speak_for_the_message_beside_it(
    team: Team, asked: Asked
) -> None:
    team.ask("x", ping=True)
    team.ask("y", ping=True)
    team.ask("y")

    team.follow()
    team.tick()

    (request,) = asked()
    assert (request.entity_id, request.ping) == ("y", False)
