"""Filtering and sorting of a whole catalogue, and how long that takes."""

import time

import pytest

from klio_dagster.core.record import FailedPair
from klio_dagster.core.state import State
from klio_dagster.errors import ConfigError
from klio_dagster.observe.view_index import Index, Stand, with_failures, with_numbers, with_states
from klio_dagster.observe.view_query import Bound, Query

MANY = 100_000


@pytest.fixture
def index():
    """Four tracks: a is fine, b is stale and loud, c failed in mel, d has nothing."""
    made = with_states(
        Index(entities=("a", "b", "c", "d")),
        ["recording", "mel"],
        [
            Stand("recording", "a", State.MATERIALIZED, 10.0),
            Stand("mel", "a", State.MATERIALIZED, 11.0),
            Stand("recording", "b", State.STALE, 30.0),
            Stand("mel", "b", State.STALE, 31.0),
            Stand("recording", "c", State.FAILED, 20.0),
            Stand("mel", "c", State.FAILED, 21.0),
            Stand("mel", "gone since", State.FAILED, 99.0),
        ],
    )
    made = with_failures(
        made,
        [
            FailedPair("recording", "c", "ValueError", "ValueError: Truncated", "run"),
            FailedPair("mel", "c", "upstream_failed", "upstream_failed: recording", "run"),
        ],
    )
    numbers = {"a": {"peak": 0.5, "duration_s": 2.0}, "b": {"peak": 0.9, "duration_s": 40.0}}
    return with_numbers(made, [("recording", numbers), ("mel", {"a": {"max": 3}})])


def found(index, **asked):
    return [index.entities[row] for row in index.matching(Query(**asked))]


@pytest.mark.parametrize(
    ("asked", "entities"),
    [
        pytest.param({}, ["a", "b", "c", "d"], id="everything"),
        pytest.param({"descending": True}, ["d", "c", "b", "a"], id="backwards"),
        pytest.param({"text": "B"}, ["b"], id="part-of-an-id"),
        pytest.param({"text": "truncated"}, ["c"], id="part-of-an-error"),
        pytest.param({"state": "failed"}, ["c"], id="failed"),
        pytest.param({"state": "failed", "asset": "mel"}, ["c"], id="failed-means-blocked-too"),
        pytest.param({"state": "blocked", "asset": "recording"}, [], id="not-blocked-itself"),
        pytest.param({"state": "missing"}, ["d"], id="missing"),
        pytest.param({"state": "stale"}, ["b"], id="stale"),
        pytest.param({"state": "materialized"}, ["a", "b"], id="stale-is-materialized-too"),
        pytest.param({"sort": "state"}, ["c", "d", "b", "a"], id="trouble-first"),
        pytest.param({"sort": "time"}, ["b", "c", "a", "d"], id="newest-first"),
        pytest.param({"sort": "recording.peak"}, ["a", "b", "c", "d"], id="numbers-up"),
        pytest.param(
            {"sort": "recording.peak", "descending": True}, ["b", "a", "c", "d"], id="numbers-down"
        ),
        pytest.param({"bounds": (Bound("recording.duration_s", ">", 30),)}, ["b"], id="long"),
        pytest.param({"bounds": (Bound("recording.peak", "<=", 0.5),)}, ["a"], id="quiet"),
        pytest.param(
            {"bounds": (Bound("recording.peak", ">", 0), Bound("mel.max", ">=", 3))},
            ["a"],
            id="two-conditions",
        ),
    ],
)
def test_the_tracks_asked_for_come_in_the_order_asked_for(index, asked, entities):
    assert found(index, **asked) == entities


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"state": "failed", "asset": "mell"}, id="asset"),
        pytest.param({"sort": "recording.bpm"}, id="sort"),
        pytest.param({"bounds": (Bound("recording.bpm", ">", 1),)}, id="bound"),
    ],
)
def test_an_unknown_name_is_refused(index, asked):
    with pytest.raises(ConfigError):
        index.matching(Query(**asked))


def test_counts_are_those_of_klio_status_with_the_blocked_ones_named(index):
    assert index.counts() == {
        "recording": {"materialized": 2, "failed": 1, "blocked": 0, "missing": 1, "stale": 1},
        "mel": {"materialized": 2, "failed": 1, "blocked": 1, "missing": 1, "stale": 1},
    }


def test_a_hundred_thousand_tracks_are_filtered_and_sorted_at_once():
    entities = tuple(f"track-{number:06}" for number in range(MANY))
    stands = [Stand("mel", entity, State.MATERIALIZED, 1.0) for entity in entities]
    index = with_states(Index(entities=entities), ["mel"], stands)
    numbers = {entity: {"max": number % 977} for number, entity in enumerate(entities)}
    index = with_numbers(index, [("mel", numbers)])

    started = time.process_time()
    rows = index.matching(
        Query(text="9", state="materialized", bounds=(Bound("mel.max", ">", 5),), sort="mel.max")
    )

    assert time.process_time() - started < 1.0  # 0.06 s where it was written
    assert len(rows) > MANY / 4
