"""An hour forward, an hour back: the wall clock decides neither who lives nor who goes first."""

import pytest

from klio_dagster.store.claim import goes_before
from klio_dagster.store.claims import read_claims
from klio_dagster.store.clock import wall_clock_from
from klio_dagster.store.heartbeat import Confirmation
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.settling import settling
from tests.store.elsewhere import held_elsewhere

HOUR = 3600.0


class Clocks:
    """The store's clock, which may be set, and the machine's, which only goes on."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        self.passed = 5_000.0
        self.store = MemoryStore(lambda: self.wall)

    def monotonic(self) -> float:
        return self.passed

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.passed += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def is_alive(clocks: Clocks) -> bool:
    (state,) = read_claims(clocks.store, now=clocks.wall, monotonic=clocks.monotonic)
    return state.is_alive


set_clock = pytest.mark.parametrize("by_s", [HOUR, -HOUR], ids=["forward", "back"])


@set_clock
def test_a_live_run_of_this_machine_lives_on_when_the_clock_is_set(
    clocks: Clocks, by_s: float
) -> None:
    open_claim(clocks.store, "r1", assets=["mel"], monotonic=clocks.monotonic)
    clocks.wall += by_s
    clocks.wait(9)

    assert is_alive(clocks)


@set_clock
def test_a_silent_run_of_this_machine_is_dead_after_a_minute_when_the_clock_is_set(
    clocks: Clocks, by_s: float
) -> None:
    open_claim(clocks.store, "r1", assets=["mel"], monotonic=clocks.monotonic)
    clocks.wall += by_s
    clocks.wait(61)

    assert not is_alive(clocks)


@set_clock
def test_a_run_of_another_machine_lives_again_with_its_next_beat(
    clocks: Clocks, by_s: float
) -> None:
    held = held_elsewhere(clocks.store)
    clocks.wall += by_s
    before = is_alive(clocks)
    clocks.wait(10)

    held.beat()

    assert not before, "of who gave no sign since the clock was set, nobody knows how long ago"
    assert is_alive(clocks)


def test_a_beat_keeps_a_run_on_another_machine_alive(clocks: Clocks) -> None:
    held = held_elsewhere(clocks.store)
    clocks.wait(50)
    held.beat()
    clocks.wait(50)

    assert is_alive(clocks)


def test_a_run_of_another_machine_that_died_is_not_alive_for_an_hour(clocks: Clocks) -> None:
    held_elsewhere(clocks.store)
    clocks.wall -= HOUR
    clocks.wait(61)

    assert not is_alive(clocks)


def test_a_claim_written_after_the_clock_was_set_back_goes_last(clocks: Clocks) -> None:
    first = open_claim(clocks.store, "b", assets=["mel"]).claim
    clocks.wall -= HOUR

    second = open_claim(clocks.store, "a", assets=["mel"])

    assert goes_before(first, second.claim)
    third = open_claim(clocks.store, "0", assets=["mel"]).claim
    assert goes_before(second.claim, third)
    second.renew()
    assert goes_before(third, second.claim)


@set_clock
def test_a_worker_started_by_a_silent_launcher_writes_nothing_when_the_clock_is_set(
    clocks: Clocks, by_s: float
) -> None:
    claim = open_claim(clocks.store, "r1", assets=["mel"], monotonic=clocks.monotonic).claim
    clocks.wait(45)
    clocks.wall += by_s
    late = Confirmation(clocks.store, "r1", claim.generation, monotonic=clocks.monotonic)

    late.look()

    assert not late.is_fresh


@set_clock
def test_a_worker_need_not_wait_for_a_beat_because_the_clock_was_set(
    clocks: Clocks, by_s: float
) -> None:
    claim = open_claim(clocks.store, "r1", assets=["mel"], monotonic=clocks.monotonic).claim
    clocks.wall += by_s
    worker = Confirmation(clocks.store, "r1", claim.generation, monotonic=clocks.monotonic)

    worker.look()

    assert worker.is_fresh


@set_clock
def test_who_clears_a_dead_run_away_is_not_disturbed_when_the_clock_is_set(
    clocks: Clocks, by_s: float
) -> None:
    open_claim(clocks.store, "r1", assets=["mel"])

    with settling(clocks.store, "r1", clocks.monotonic) as is_ours:
        clocks.wall += by_s
        with settling(clocks.store, "r1", clocks.monotonic) as is_theirs:
            pass

    assert is_ours
    assert not is_theirs


@set_clock
def test_the_clock_of_a_run_goes_on_evenly(clocks: Clocks, by_s: float) -> None:
    now = wall_clock_from(clocks.wall, clocks.passed, clocks.monotonic)
    started = clocks.wall
    clocks.wall += by_s
    clocks.wait(2.5)

    assert now() == started + 2.5
