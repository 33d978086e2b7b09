"""What failed: who is tried again now, who rests, and who is given up."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.core.backoff import Backoff
from klio_dagster.core.failing import Failing, by_entity, failing
from klio_dagster.core.record import Tries

NOW = 1_000_000.0
BACKOFF = Backoff(first_s=60.0, factor=4.0, longest_s=3600.0)
NAMES = st.sampled_from("abcdef")


@dataclass(frozen=True)
class Past:
    """What the sensor knows."""

    tries: dict[str, Tries]
    given_up: dict[str, int]
    under_way: set[str]
    max_attempts: int
    backoff: Backoff

    def sorted(self, now: float = NOW) -> Failing:
        return failing(
            self.tries,
            given_up=self.given_up,
            under_way=self.under_way,
            max_attempts=self.max_attempts,
            backoff=self.backoff,
            now=now,
        )


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    tries: dict[str, Tries] = {}
    given_up: dict[str, int] = {}
    for entity in draw(st.sets(NAMES)):
        failed = draw(st.integers(0, 6))
        event_id = draw(st.integers(1, 50))
        if draw(st.booleans()):
            given_up[entity] = draw(st.integers(1, 50))
        known = given_up.get(entity, 0) >= event_id
        fresh = 0 if known else draw(st.integers(0, failed))
        tries[entity] = Tries(failed, fresh, NOW - draw(st.integers(0, 10_000)), event_id)
    return Past(
        tries,
        given_up,
        draw(st.sets(NAMES)),
        draw(st.integers(1, 5)),
        draw(st.sampled_from([BACKOFF, Backoff(first_s=1.0), Backoff(first_s=500, factor=1)])),
    )


@given(pasts())
def test_everyone_who_failed_is_counted_once_and_nobody_else(past: Past):
    found = past.sorted()

    all_of_them = [
        *found.due, *found.resting, *found.exhausted, *found.given_up, *found.under_way
    ]  # fmt: skip
    assert sorted(all_of_them) == sorted(past.tries)


@given(pasts())
def test_nobody_is_touched_while_somebody_works_on_it(past: Past):
    found = past.sorted()

    assert past.under_way.isdisjoint({*found.due, *found.exhausted})


@given(pasts())
def test_nobody_is_tried_more_often_than_allowed_and_none_given_up_earlier(past: Past):
    found = past.sorted()

    assert all(past.tries[entity].fresh < past.max_attempts for entity in found.due)
    assert all(past.tries[entity].fresh >= past.max_attempts for entity in found.exhausted)


@given(pasts())
def test_who_is_given_up_stays_so_until_somebody_tries_again(past: Past):
    found = past.sorted()
    after = {**past.given_up, **{e: past.tries[e].event_id for e in found.exhausted}}
    known = {e: t._replace(fresh=0) if e in found.exhausted else t for e, t in past.tries.items()}

    again = Past(known, after, past.under_way, past.max_attempts, past.backoff).sorted(NOW + 1e9)

    assert set(again.given_up) == {*found.given_up, *found.exhausted}
    assert again.exhausted == ()


@given(pasts(), st.floats(0, 1e6))
def test_who_rests_is_due_once_its_pause_is_over_and_not_before(past: Past, later_s: float):
    found = past.sorted()
    later = past.sorted(NOW + later_s)

    for entity, until in found.resting.items():
        assert NOW < until <= past.tries[entity].last_at + past.backoff.longest_s
        assert (entity in later.due) == (NOW + later_s >= until)
    assert set(found.due) <= set(later.due)


@given(pasts())
def test_those_come_first_that_have_waited_longest(past: Past):
    waited = [past.tries[entity].last_at for entity in past.sorted().due]

    assert waited == sorted(waited)


@pytest.mark.parametrize(
    ("tries", "where"),
    [
        pytest.param(Tries(1, 1, NOW - 59, 9), "resting", id="a-minute-after-the-first"),
        pytest.param(Tries(1, 1, NOW - 60, 9), "due", id="then-due"),
        pytest.param(Tries(2, 2, NOW - 239, 9), "resting", id="four-after-the-second"),
        pytest.param(Tries(2, 2, NOW - 240, 9), "due", id="then-due-again"),
        pytest.param(Tries(3, 3, NOW, 9), "exhausted", id="tried-often-enough"),
        pytest.param(Tries(0, 0, NOW, 9), "due", id="only-blocked-by-what-works-now"),
        pytest.param(Tries(1, 1, NOW + 7200, 9), "due", id="the-clock-was-set-back"),
        pytest.param(Tries(1, 1, NOW + 1, 9), "resting", id="another-machine-is-a-second-ahead"),
    ],
)
def test_an_entity_that_was_never_given_up(tries: Tries, where: str):
    found = Past({"a": tries}, {}, set(), 3, BACKOFF).sorted()

    assert list(getattr(found, where)) == ["a"]


@pytest.mark.parametrize(
    ("tries", "where"),
    [
        pytest.param(Tries(3, 0, NOW - 9e9, 9), "given_up", id="nobody-tried"),
        pytest.param(Tries(4, 1, NOW - 59, 10), "resting", id="tried-by-somebody"),
        pytest.param(Tries(4, 1, NOW - 60, 10), "due", id="and-again-by-us"),
        pytest.param(Tries(6, 3, NOW - 60, 12), "exhausted", id="all-attempts-anew"),
        pytest.param(Tries(1, 1, NOW - 60, 10), "due", id="it-had-worked-in-between"),
    ],
)
def test_an_entity_that_was_given_up_before(tries: Tries, where: str):
    found = Past({"a": tries}, {"a": 9}, set(), 3, BACKOFF).sorted()

    assert list(getattr(found, where)) == ["a"]


def test_an_entity_has_failed_as_often_as_the_worst_of_its_assets():
    recording = {"a": Tries(1, 1, 50.0, 7), "b": Tries(2, 0, 10.0, 2)}
    mel = {"a": Tries(3, 2, 40.0, 5)}

    assert by_entity([recording, mel]) == {"a": Tries(3, 2, 50.0, 7), "b": recording["b"]}
