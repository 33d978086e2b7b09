"""A store that answers slowly makes nobody look dead who goes on beating."""

from collections.abc import Callable, Mapping

import pytest

from klio_dagster.store.claim import ClaimState
from klio_dagster.store.claims import read_claims
from klio_dagster.store.layout import CLOCK_PATH, beat_path, claim_path
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.open_claim import open_claim

BEAT_S = 10
WORK = "r1"


class SlowStore(MemoryStore):
    """Takes its time over some objects, by path, in seconds; meanwhile the world goes on."""

    def __init__(self, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        super().__init__(now)
        self._sleep = sleep
        self.takes_s: Mapping[str, float] = {}

    def get_or_none(self, path: str) -> bytes | None:
        self._sleep(self.takes_s.get(path, 0.0))
        return super().get_or_none(path)

    def put(self, path: str, data: bytes) -> None:
        self._sleep(self.takes_s.get(path, 0.0))
        super().put(path, data)


class Elsewhere:
    """Another machine, whose run beats every 10 s for as long as it lives."""

    def __init__(self) -> None:
        self.now = self._beaten_at = 1_700_000_000.0
        self.is_alive = True
        self.store = SlowStore(lambda: self.now, self.sleep)
        open_claim(self.store, WORK, assets=["mel"])
        held = self.store.get(claim_path(WORK))
        self.store.put(claim_path(WORK), held.replace(b'"host": "', b'"host": "not-'))

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        end = self.now + seconds
        while self.is_alive and self._beaten_at + BEAT_S <= end:
            self._beaten_at = self.now = self._beaten_at + BEAT_S
            self.store.put(beat_path(WORK), b"a beat\n")
        self.now = end


def read(store: MemoryStore) -> ClaimState:
    (state,) = read_claims(store)
    assert not state.claim.launcher.is_here
    return state


SLOW = {
    "both": {claim_path(WORK): 28.0, CLOCK_PATH: 28.0},
    "the claim": {claim_path(WORK): 100.0},
    "the clock": {CLOCK_PATH: 100.0},
}


@pytest.mark.parametrize("slow", SLOW)
def test_a_slow_store_makes_no_run_dead_that_beats(slow: str):
    there = Elsewhere()
    there.sleep(3600.0)
    there.sleep(BEAT_S - 1.0)  # the last beat is old already
    there.store.takes_s = SLOW[slow]

    state = read(there.store)

    assert state.is_alive, state.why


@pytest.mark.parametrize("slow", SLOW)
def test_a_run_that_is_silent_is_dead_however_slow_the_store(slow: str):
    there = Elsewhere()
    there.is_alive = False
    there.sleep(BEAT_S - 1.0)
    there.store.takes_s = SLOW[slow]

    state = read(there.store)

    assert not state.is_alive
    assert "no sign of life" in state.why


def test_a_run_that_falls_silent_while_it_is_looked_at_is_dead_by_what_it_said_last():
    there = Elsewhere()
    there.store.takes_s = {claim_path(WORK): 100.0}
    read(there.store)
    there.is_alive = False
    there.store.takes_s = {}
    there.sleep(59.0)
    before = read(there.store).is_alive

    there.sleep(2.0)

    assert before
    assert not read(there.store).is_alive
