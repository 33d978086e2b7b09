"""A run that gave no sign of life writes nothing, whoever notices it first."""

import threading
import time

import pytest

from klio_dagster.errors import ClaimLostError, StoreUnavailableError
from klio_dagster.store.claims import remove_claim
from klio_dagster.store.confirmed import ConfirmedStore
from klio_dagster.store.heartbeat import Confirmation, Heartbeat
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.open_claim import open_claim
from tests.store.told_clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


def test_a_launcher_that_was_stopped_finds_its_claim_gone_before_it_writes(
    clock: Clock, store: MemoryStore
):
    heartbeat = Heartbeat(open_claim(store, "r1", assets=["mel"], monotonic=clock), monotonic=clock)
    heartbeat.confirm()
    clock.now += 90
    remove_claim(store, "r1")

    with pytest.raises(ClaimLostError, match=r"run r1: .* others took its entities over; ") as lost:
        heartbeat.confirm()

    assert len(str(lost.value).splitlines()) == 1
    with pytest.raises(ClaimLostError):
        heartbeat.confirm()


def test_a_launcher_that_was_stopped_and_not_missed_goes_on(clock: Clock, store: MemoryStore):
    heartbeat = Heartbeat(open_claim(store, "r1", assets=["mel"], monotonic=clock), monotonic=clock)
    clock.now += 90

    heartbeat.confirm()


def test_a_claim_of_the_same_run_that_is_another_one_is_not_ours(clock: Clock, store: MemoryStore):
    first = open_claim(store, "r1", assets=["mel"], monotonic=clock)
    remove_claim(store, "r1")
    second = open_claim(store, "r1", assets=["mel"], monotonic=clock)

    with pytest.raises(ClaimLostError):
        first.beat()
    first.close()

    second.beat()


def _seen_by_worker(clock: Clock, store: MemoryStore) -> tuple[Heartbeat, Confirmation]:
    claim = open_claim(store, "r1", assets=["mel"], monotonic=clock)
    confirmation = Confirmation(store, "r1", claim.claim.generation, monotonic=clock)
    confirmation.look()
    return Heartbeat(claim, monotonic=clock), confirmation


def test_a_worker_writes_while_its_launcher_beats(clock: Clock, store: MemoryStore):
    heartbeat, confirmation = _seen_by_worker(clock, store)

    fresh: list[bool] = []
    for _ in range(10):
        clock.now += 10
        heartbeat._beat()
        clock.now += 1
        confirmation.look()
        fresh.append(confirmation.is_fresh)

    assert all(fresh)


@pytest.mark.parametrize(("silent_s", "is_fresh"), [(20, True), (31, False)], ids="{} s".format)
def test_a_worker_writes_nothing_once_its_launcher_was_silent_for_thirty_seconds(
    clock: Clock, store: MemoryStore, silent_s: int, is_fresh: bool
):
    _, confirmation = _seen_by_worker(clock, store)

    for _ in range(silent_s):
        clock.now += 1
        confirmation.look()

    assert confirmation.is_fresh is is_fresh


def test_a_worker_goes_on_when_its_launcher_does(clock: Clock, store: MemoryStore):
    heartbeat, confirmation = _seen_by_worker(clock, store)
    clock.now += 45
    confirmation.look()
    assert not confirmation.is_fresh

    heartbeat._beat()
    clock.now += 1
    confirmation.look()

    assert confirmation.is_fresh


def test_a_worker_started_by_a_launcher_that_is_silent_already_writes_nothing(
    clock: Clock, store: MemoryStore
):
    claim = open_claim(store, "r1", assets=["mel"], monotonic=clock)
    clock.now += 45
    late = Confirmation(store, "r1", claim.claim.generation, monotonic=clock)

    late.look()

    assert not late.is_fresh
    assert not late.is_lost


def test_a_worker_whose_run_was_taken_over_never_writes_again(clock: Clock, store: MemoryStore):
    _, confirmation = _seen_by_worker(clock, store)
    remove_claim(store, "r1")
    open_claim(store, "r1", assets=["mel"], monotonic=clock)

    confirmation.look()

    assert confirmation.is_lost
    assert not confirmation.is_fresh


def test_a_store_that_does_not_answer_confirms_nothing_and_loses_nothing(clock: Clock):
    class Silent(MemoryStore):
        is_silent = False

        def get_or_none(self, path: str) -> bytes | None:
            if self.is_silent:
                raise StoreUnavailableError("no answer", "store", "try again")
            return super().get_or_none(path)

    store = Silent(clock)
    _, confirmation = _seen_by_worker(clock, store)
    store.is_silent = True
    clock.now += 31

    confirmation.look()

    assert not confirmation.is_fresh
    assert not confirmation.is_lost


def test_nothing_is_written_before_it_is_confirmed(clock: Clock, store: MemoryStore):
    asked: list[int] = []
    confirmed = ConfirmedStore(store, lambda: asked.append(len(list(store.list()))))

    confirmed.put("mel/a", b"1")
    confirmed.put_if_absent("mel/b", b"2")
    confirmed.delete("mel/a")
    confirmed.delete_many(["mel/b"])

    assert asked == [0, 1, 2, 1]
    assert list(store.list()) == []


class CountingStore(MemoryStore):
    """A store that fails every second write of a beat and says how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.beats = 0
        self.enough = threading.Event()

    def put(self, path: str, data: bytes) -> None:
        if path.endswith("/beat"):
            self.beats += 1
            if self.beats > 4:
                self.enough.set()
            if self.beats % 2 == 0:
                raise StoreUnavailableError("no answer", "store", "try again")
        super().put(path, data)


def test_a_heart_beats_until_it_is_stopped_and_survives_a_store_that_does_not_answer():
    store = CountingStore()
    held = open_claim(store, "r1", assets=["mel"])

    with Heartbeat(held, every_s=0.001):
        has_gone_on = store.enough.wait(10)
    beats = store.beats
    time.sleep(0.02)

    assert has_gone_on
    assert store.beats == beats
