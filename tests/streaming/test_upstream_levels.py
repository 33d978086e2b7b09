"""Teams in a row, each of which lacks what the one above it makes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from klio_dagster.message import ANYONE, Limited
from tests.services.pubsub import PubSubEmulator
from tests.streaming.family import NEVER_S, Family, family
from tests.streaming.maker import waiting
from tests.streaming.team import Team

ROW = {"b": "a", "c": "b", "sibling": "b", "d": "c"}


def miss(team: Team) -> None:
    """It never hears what is in its subscription now."""
    subscription = team.pubsub.subscription(team.subscription)
    received = subscription.pull()
    assert len(received) == 1
    subscription.acknowledge(received)


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
