"""A missing input that does not come, cannot be asked for, or is not wanted any more."""

from collections.abc import Callable
from typing import Any

import pytest

from klio_dagster.core import letter as letters
from klio_dagster.message import Limited, encode, new_message
from klio_dagster.store.kept import Waiting
from klio_dagster.store.layout import unasked_prefix, waiting_path
from klio_dagster.store.removed import bury
from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import replay
from tests.flows.catalogue import Catalogue, all_of
from tests.services.pubsub import PubSubEmulator
from tests.streaming.family import AT_ONCE, NEVER_S
from tests.streaming.maker import Asked, let_wait, team_below, waiting
from tests.streaming.team import Team


@pytest.fixture
def team(catalogue: Catalogue, pubsub_emulator: PubSubEmulator, maker_hears: str) -> Team:
    return team_below(catalogue, pubsub_emulator, maker_hears, look_every_s=AT_ONCE)


@pytest.fixture
def asked(team: Team, pubsub_emulator: PubSubEmulator, maker_hears: str) -> Asked:
    return Asked(team, pubsub_emulator, maker_hears)


def test_what_does_not_come_in_time_is_failed_and_kept_as_a_dead_letter(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator, maker_hears: str
) -> None:
    team = team_below(catalogue, pubsub_emulator, maker_hears, wait_s=0.001, look_every_s=AT_ONCE)
    message = encode(new_message("x", to=Limited((team.job,))))
    team.send(message)
    team.follow()
    team.tick()

    (run,) = team.follow()

    assert list(run.failures) == [("x", "recording")]
    assert "input_missing: no file matches" in run.failures["x", "recording"]
    (dead,) = team.dead()
    assert (dead.entity, dead.reason, dead.letter.data) == ("x", "input_missing", message)
    assert dead.error == "the input of 'recording' did not come in 0.001 s from klio-tests::maker"
    assert team.catalogue.ledger.failures(["recording"], ["x"])
    assert (team.inbox(), waiting(team), team.told()) == ([], [], [])
    assert team.tick() == []


def test_a_replayed_dead_letter_asks_again(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator, maker_hears: str
) -> None:
    team = team_below(catalogue, pubsub_emulator, maker_hears, wait_s=0.001, look_every_s=AT_ONCE)
    asked = Asked(team, pubsub_emulator, maker_hears)
    team.ask("x")
    for _ in range(3):
        team.follow()
    (dead,) = team.dead()
    asked()
    team.put("x")

    replay(team.catalogue.store, [dead.id])
    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    assert len(team.told()) == 1
    assert (team.dead(), asked()) == ([], [])


def test_a_topic_that_is_not_there_is_one_line_and_loses_nothing(
    team: Team, pubsub_emulator: PubSubEmulator, maker_hears: str
) -> None:
    pubsub_emulator.delete_topic(maker_hears)
    team.put("there")
    team.ask("x", "there")

    (run,) = team.follow()
    with pytest.raises(Exception, match="1 of 1 messages were not published") as caught:
        team.tick()

    assert "\n" not in str(caught.value)
    assert run.success
    assert [m.entity_id for m in team.told()] == ["there"]
    assert waiting(team) == ["x"]
    pubsub_emulator.new_topic(maker_hears.rpartition("/")[2])
    asked = Asked(team, pubsub_emulator, maker_hears)
    team.tick()
    assert [m.entity_id for m in asked()] == ["x"]
    assert waiting(team) == ["x"]


def test_what_cannot_even_be_asked_for_is_given_up_in_time_too(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator, maker_hears: str
) -> None:
    team = team_below(catalogue, pubsub_emulator, maker_hears, wait_s=0.001, look_every_s=AT_ONCE)
    pubsub_emulator.delete_topic(maker_hears)
    team.ask("x", "y")
    team.follow()

    (run,) = team.follow()

    assert {entity for entity, _ in run.failures} == {"x", "y"}
    assert {(d.entity, d.reason) for d in team.dead()} == {
        ("x", "input_missing"),
        ("y", "input_missing"),
    }
    assert all("could not be asked" in dead.error for dead in team.dead())
    assert waiting(team) == []


def test_an_entity_that_is_taken_down_while_it_waits_comes_back_nowhere(team: Team) -> None:
    team.ask("x", "y")
    (request,) = team.tick()
    team.run(request)
    bury(team.catalogue.store, ["x"], 1.0)
    team.tick()
    bury(team.catalogue.store, ["y"], 1.0)
    team.put("x", "y")

    assert team.tick() == []

    assert (waiting(team), team.inbox(), team.dead(), team.told()) == ([], [], [], [])


def test_what_is_spoilt_stops_no_other(team: Team, asked: Asked) -> None:
    store = team.catalogue.store
    store.put(f"{unasked_prefix(team.sensor.name)}1-aaaaaaaa-bbbbbbbb.jsonl", b"torn")
    store.put(waiting_path("recording", "1-aaaaaaaa-bbbbbbbb", "torn"), b"{}")
    team.ask("x")
    team.follow()
    team.tick()
    team.put("x", "torn")

    (run,) = team.follow()

    assert [m.entity_id for m in asked()] == ["x"]
    assert run.counts("materialized") == all_of(1)
    assert len(list(store.list("_klio/waiting/"))) == 2, "it is left for somebody to look at"


def test_a_message_that_was_spoilt_while_it_waited_stops_no_other(team: Team) -> None:
    message = encode(new_message("x"))
    unreadable = letters.Letter(data=message, message_id="1", forward=b"\xff\xff")
    spoilt = Waiting(
        asset="recording",
        sensor=team.sensor.name,
        asked=letters.Asked(entity="x", letters=(unreadable,)),
    )
    team.catalogue.store.put(
        f"{unasked_prefix(team.sensor.name)}1-aaaaaaaa-bbbbbbbb.jsonl", spoilt.to_line().encode()
    )
    team.tick()
    team.put("x", "y")
    team.ask("y")

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    assert [(d.reason, d.letter.data) for d in team.dead()] == [("undecodable", message)]
    assert waiting(team) == []


def test_an_asset_that_names_its_maker_no_longer_fails_what_waits(
    team: Team, pubsub_emulator: PubSubEmulator
) -> None:
    team.ask("x")
    team.follow()
    team.tick()
    later = Team(team.catalogue, pubsub_emulator, hears=team.hears, tells=False)

    (run,) = later.follow()

    assert list(run.failures) == [("x", "recording")]
    assert waiting(team) == []


@pytest.mark.parametrize("number", [3, 300])
def test_who_waits_is_not_read_until_it_is_its_turn_however_many_wait(
    catalogue: Catalogue,
    pubsub_emulator: PubSubEmulator,
    maker_hears: str,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    team = team_below(catalogue, pubsub_emulator, maker_hears, look_every_s=NEVER_S)
    let_wait(team, number)
    listed: list[str] = []
    read: list[str] = []
    monkeypatch.setattr(Store, "list", spied(Store.list, listed))
    monkeypatch.setattr(Store, "get_or_none", spied(Store.get_or_none, read))

    team.tick()
    with_a_look = [path for path in listed if path.startswith("_klio/waiting/")]
    listed.clear()
    team.tick()
    without = [path for path in listed if path.startswith("_klio/waiting/")]

    unasked = unasked_prefix(team.sensor.name)
    assert with_a_look == [unasked, "_klio/waiting/"]
    assert without == [unasked]
    assert [path for path in read if path.startswith("_klio/waiting/")] == []


def spied(function: Callable[..., Any], paths: list[str]) -> Callable[..., Any]:
    """The same, noting what it is asked for."""

    def spying(store: Store, path: str = "") -> Any:
        paths.append(path)
        return function(store, path)

    return spying
