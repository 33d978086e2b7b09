"""Two teams, each with a store and a ledger of its own, joined by nothing but a topic."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from klio_dagster.message import Limited
from tests.services.pubsub import PubSubEmulator
from tests.streaming.family import NEVER_S, Family, family


@pytest.fixture
def teams(tmp_path: Path, pubsub_emulator: PubSubEmulator) -> Iterator[Family]:
    with family(tmp_path, pubsub_emulator, {"b": "a"}, look_every_s=NEVER_S) as teams:
        yield teams


def test_a_message_for_the_first_goes_through_both(teams: Family) -> None:
    teams["a"].put("x")
    teams["a"].ask("x", force=True)

    teams.settle()

    assert teams.computed() == {"a": {"x"}, "b": {"x"}}
    (told,) = teams["b"].told()
    assert [entry.job for entry in told.audit_log] == [teams["a"].job, teams["b"].job]
    made = teams["b"].catalogue.load("report/x.json")
    assert teams["a"].catalogue.load("report/x.json")["id"] in str(made)


def test_a_message_for_the_first_alone_stops_there(teams: Family) -> None:
    teams["a"].put("x")
    teams["a"].ask("x", to=Limited((teams["a"].job,)))

    teams.settle()

    assert teams.computed() == {"a": {"x"}, "b": set()}
    assert teams["b"].told() == []


def test_a_message_for_the_second_has_the_first_make_its_input(teams: Family) -> None:
    teams["a"].put("x")
    teams["b"].ask("x", to=Limited((teams["b"].job,)))

    teams.settle()

    assert teams.computed() == {"a": {"x"}, "b": {"x"}}
    (told,) = teams["b"].told()
    assert isinstance(told.recipients, Limited), "it was for the second alone, and stays so"
    assert teams["b"].job in told.recipients.recipients


def test_a_ping_goes_through_both_and_makes_nothing(teams: Family) -> None:
    teams["a"].ask("x", ping=True)

    teams.settle()

    assert teams.computed() == {"a": set(), "b": set()}
    (told,) = teams["b"].told()
    assert told.ping
    assert [entry.job for entry in told.audit_log] == [teams["a"].job, teams["b"].job]
