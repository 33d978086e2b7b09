"""A claim whose launcher is gone gets another one; its job does not notice, the old one does."""

from dataclasses import replace

import pytest

from klio_dagster.errors import ClaimLostError
from klio_dagster.store.claim import ClaimState, encoded
from klio_dagster.store.claims import read_claims
from klio_dagster.store.heartbeat import Confirmation
from klio_dagster.store.layout import claim_path
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.open_claim import OpenClaim, adopt, open_claim
from tests.store.told_clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def theirs(store: MemoryStore) -> OpenClaim:
    """A claim with a job elsewhere, in the hands of another machine."""
    claim = open_claim(store, "r1", assets=["mel"], engine="flink", job_id="j-1").claim
    claim = replace(claim, launcher=replace(claim.launcher, host="elsewhere", machine="another"))
    store.put(claim_path("r1"), encoded(claim))
    held = OpenClaim(store, claim)
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
    launcher = replace(theirs.claim.launcher, host="faster")
    store.put(claim_path("r1"), encoded(replace(theirs.claim, launcher=launcher)))

    assert adopt(store, state) is None


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
