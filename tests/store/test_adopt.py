"""A claim whose launcher is gone gets another one; its job does not notice, the old one does."""

from collections.abc import Callable

import pytest

from klio_dagster.errors import ClaimLostError
from klio_dagster.store.claim import ClaimState
from klio_dagster.store.claims import read_claims
from klio_dagster.store.heartbeat import Confirmation
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.open_claim import OpenClaim, adopt
from tests.store.elsewhere import held_elsewhere, launched_by
from tests.store.told_clock import Clock


class Interrupted(MemoryStore):
    """Lets something else happen right before or right after the next writing."""

    before_put: Callable[[], object] | None = None
    after_put: Callable[[], object] | None = None

    def put(self, path: str, data: bytes) -> None:
        before, self.before_put = self.before_put, None
        after, self.after_put = self.after_put, None
        if before is not None:
            before()
        super().put(path, data)
        if after is not None:
            after()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Interrupted:
    return Interrupted(clock)


@pytest.fixture
def theirs(store: MemoryStore) -> OpenClaim:
    """A claim with a job elsewhere, in the hands of another machine."""
    held = held_elsewhere(store, engine="flink", job_id="j-1")
    held.beat()
    return held


def only(store: MemoryStore, clock: Clock) -> ClaimState:
    (state,) = read_claims(store, now=clock())
    return state


def orphaned(store: MemoryStore, clock: Clock) -> ClaimState:
    clock.now += 61
    state = only(store, clock)
    assert (state.is_alive, state.is_orphaned) == (True, True), "its job holds the entities"
    return state


def test_who_adopts_a_claim_is_its_launcher_and_its_job_goes_on(
    store: MemoryStore, clock: Clock, theirs: OpenClaim
) -> None:
    worker = Confirmation(store, "r1", theirs.claim.generation, needs_beats=False)

    ours = adopt(store, orphaned(store, clock))

    assert ours is not None
    assert not only(store, clock).is_orphaned
    worker.look()
    assert worker.is_fresh
    ours.close()
    assert list(read_claims(store)) == []


def test_who_lost_it_is_told_so_and_does_not_take_it_back(
    store: MemoryStore, clock: Clock, theirs: OpenClaim
) -> None:
    ours = adopt(store, orphaned(store, clock))

    with pytest.raises(ClaimLostError):
        theirs.beat()
    with pytest.raises(ClaimLostError):
        theirs.set_manifest("manifest.json")
    theirs.close()

    assert ours is not None
    ours.beat()


def test_of_two_that_want_it_one_gets_it(
    store: MemoryStore, clock: Clock, theirs: OpenClaim
) -> None:
    state = orphaned(store, clock)
    launched_by(store, theirs.claim, host="faster")

    assert adopt(store, state) is None


def test_of_two_that_have_read_it_who_writes_last_holds_it(
    store: Interrupted, clock: Clock, theirs: OpenClaim
) -> None:
    state = orphaned(store, clock)
    rivals: list[OpenClaim] = []

    def rival_adopts() -> None:
        rivals.append(launched_by(store, theirs.claim, host="faster"))
        rivals[0].beat()

    store.before_put = rival_adopts

    ours = adopt(store, state)

    (rival,) = rivals
    assert ours is not None
    ours.beat()
    with pytest.raises(ClaimLostError):
        rival.beat()


def test_who_is_overwritten_before_its_first_beat_is_told_so_at_once(
    store: Interrupted, clock: Clock, theirs: OpenClaim
) -> None:
    state = orphaned(store, clock)
    rivals: list[OpenClaim] = []
    store.after_put = lambda: rivals.append(launched_by(store, theirs.claim, host="slower"))

    with pytest.raises(ClaimLostError):
        adopt(store, state)

    (rival,) = rivals
    rival.beat()


def test_who_hands_it_back_leaves_an_orphan_that_anybody_may_adopt(
    store: MemoryStore, clock: Clock, theirs: OpenClaim
) -> None:
    ours = adopt(store, orphaned(store, clock))
    assert ours is not None

    ours.hand_back(theirs.claim.launcher)

    ours.beat()  # does nothing: its heartbeat may be under way
    again = adopt(store, orphaned(store, clock))
    assert again is not None
    again.beat()


def test_a_claim_that_is_revoked_lets_no_worker_write(
    store: MemoryStore, clock: Clock, theirs: OpenClaim
) -> None:
    worker = Confirmation(store, "r1", theirs.claim.generation, needs_beats=False)
    worker.look()
    ours = adopt(store, orphaned(store, clock))
    assert ours is not None

    ours.revoke()
    worker.look()

    assert worker.is_lost
    ours.close()


@pytest.mark.parametrize("change", ["release", "set_manifest"])
def test_what_is_asked_for_next_has_another_job(theirs: OpenClaim, change: str) -> None:
    if change == "release":
        theirs.release()
    else:
        theirs.set_manifest("manifest.json")

    assert theirs.claim.job_id is None
