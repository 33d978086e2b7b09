"""A message whose input is missing asks the job that makes it, waits, and goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.message import (
    ANYONE,
    Limited,
    Message,
    decode,
    encode,
    extended,
    new_message,
    request_upstream,
)
from klio_dagster.store.kept import all_waiting
from klio_dagster.store.layout import unasked_prefix, waiting_path
from klio_dagster.store.removed import bury
from klio_dagster.streaming.dead_letter import replay
from tests.flows.catalogue import Catalogue, all_of
from tests.services.pubsub import PubSubEmulator
from tests.streaming.family import AT_ONCE, NEVER_S, Family, family
from tests.streaming.team import Team

MAKER = JobId("klio-tests", "maker")


@pytest.fixture
def maker_hears(pubsub_emulator: PubSubEmulator) -> str:
    return pubsub_emulator.new_topic()


def team_below(
    catalogue: Catalogue, emulator: PubSubEmulator, topic: str, **options: float
) -> Team:
    """One whose recordings are made by somebody who is not here."""
    return Team(catalogue, emulator, upstream=UpstreamTrigger(MAKER, topic, **options))


@pytest.fixture
def team(catalogue: Catalogue, pubsub_emulator: PubSubEmulator, maker_hears: str) -> Team:
    return team_below(catalogue, pubsub_emulator, maker_hears, look_every_s=AT_ONCE)


class Asked:
    """What the maker hears."""

    def __init__(self, team: Team, emulator: PubSubEmulator, topic: str) -> None:
        self._pubsub = team.pubsub
        self._subscription = emulator.new_subscription(topic)

    def __call__(self) -> list[Message]:
        """What it was asked since this was called last."""
        subscription = self._pubsub.subscription(self._subscription)
        received = subscription.pull()
        subscription.acknowledge(received)
        return [decode(each.data, job=MAKER) for each in received]


@pytest.fixture
def asked(team: Team, pubsub_emulator: PubSubEmulator, maker_hears: str) -> Asked:
    return Asked(team, pubsub_emulator, maker_hears)


def waiting(team: Team) -> list[str]:
    return sorted(w.asked.entity for w in all_waiting(team.catalogue.store, "recording"))


def of(team: Team, message: Message) -> Message:
    """The request as it goes up."""
    return request_upstream(message, team.job, MAKER)


def answer(team: Team, message: Message) -> bytes:
    """The request as it comes back."""
    request = extended(of(team, message), team.job, 1.0)
    return encode(extended(request, MAKER, 2.0))


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


def miss(team: Team) -> None:
    """It never hears what is in its subscription now."""
    subscription = team.pubsub.subscription(team.subscription)
    received = subscription.pull()
    assert len(received) == 1
    subscription.acknowledge(received)


ROW = {"b": "a", "c": "b", "sibling": "b", "d": "c"}


@pytest.fixture
def row(tmp_path: Path, pubsub_emulator: PubSubEmulator) -> Iterator[Family]:
    with family(tmp_path, pubsub_emulator, ROW, look_every_s=NEVER_S) as row:
        yield row


@pytest.mark.parametrize("mode", ["top-down", "bottom-up"])
def test_three_levels_are_asked_one_after_the_other_and_the_mode_comes_back(
    row: Family, mode: str
) -> None:
    row["a"].put("x")
    to = ANYONE if mode == "top-down" else Limited((row["c"].job,))
    row["c"].ask("x", to=to)
    miss(row["sibling"])

    row.settle()

    made = {"a", "b", "c"} | ({"d"} if mode == "top-down" else set())
    assert {name for name, entities in row.computed().items() if entities} == made
    (told,) = row["c"].told()
    assert told.entity_id == "x"
    assert (told.recipients == ANYONE) == (mode == "top-down")
    assert all(team.inbox() == [] and waiting(team) == [] for team in row.teams.values())
    assert all(team.dead() == [] for team in row.teams.values())
