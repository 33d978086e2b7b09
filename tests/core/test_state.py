"""Materialised, failed, missing, stale: as people ask for it."""

from collections.abc import Mapping

import pytest
from hypothesis import given

from klio_dagster.core.plan import Decision, Plan, Verdict
from klio_dagster.core.record import Record
from klio_dagster.core.state import State, counts, entities_in, states
from tests.strategies import Situation, situations

UP_TO_DATE = Verdict(Decision.SKIP, "up_to_date")
CHANGED = Verdict(Decision.RUN, "code_changed")
MISSING = Verdict(Decision.RUN, "missing")
PLAN = Plan(
    ("new", "done", "old", "broken", "failed"),
    {
        "recording": dict.fromkeys(("new", "done", "old", "broken", "failed"), UP_TO_DATE),
        "mel": {
            "new": MISSING,
            "done": UP_TO_DATE,
            "old": CHANGED,
            "broken": Verdict(Decision.RUN, "failed"),
            "failed": MISSING,
        },
    },
)
RECORDS: Mapping[str, Mapping[str, Record]] = {
    "recording": dict.fromkeys(("new", "done", "old", "broken", "failed"), Record(True, False)),
    "mel": {
        "done": Record(True, False),
        "old": Record(True, False),
        "broken": Record(True, True),
        "failed": Record(False, True),
    },
}


@pytest.mark.parametrize(
    ("entity", "state"),
    [
        pytest.param("new", State.MISSING, id="never computed"),
        pytest.param("done", State.MATERIALIZED, id="up to date"),
        pytest.param("old", State.STALE, id="would run again"),
        pytest.param("broken", State.FAILED, id="failed after it was materialised"),
        pytest.param("failed", State.FAILED, id="failed and never materialised"),
    ],
)
def test_each_track_has_one_state_an_asset(entity: str, state: State):
    of_mel = {e: s for asset, e, s in states(PLAN, RECORDS) if asset == "mel"}

    assert of_mel[entity] is state


@pytest.mark.parametrize(
    ("state", "entities"),
    [
        pytest.param(State.FAILED, ["broken", "failed"], id="failed"),
        pytest.param(State.MISSING, ["new"], id="missing"),
        pytest.param(State.STALE, ["old"], id="stale"),
    ],
)
def test_tracks_are_found_by_the_state_of_any_of_their_assets(state: State, entities: list[str]):
    assert entities_in(state, PLAN, RECORDS) == entities


def test_a_stale_track_counts_as_materialised_too():
    assert counts(PLAN, RECORDS) == {
        "recording": {"materialized": 5, "failed": 0, "missing": 0, "stale": 0},
        "mel": {"materialized": 2, "failed": 2, "missing": 1, "stale": 1},
    }


def test_what_waits_for_another_run_or_lost_its_recording_is_still_materialised():
    verdicts = {"one": Verdict(Decision.WAIT, "in_flight"), "two": UP_TO_DATE}
    plan = Plan(("one", "two"), {"mel": verdicts})

    found = set(states(plan, {"mel": dict.fromkeys(("one", "two"), Record(True, False))}))

    assert found == {("mel", "one", State.MATERIALIZED), ("mel", "two", State.MATERIALIZED)}


@given(situations())
def test_every_track_of_every_asset_is_counted_once(situation: Situation):
    plan, records = situation.plan(), situation.knowledge.records

    counted = counts(plan, records)

    for asset in plan.assets:
        number = counted[asset]
        total = sum(number.values()) - number[State.STALE]
        assert total == len(plan.entities)
