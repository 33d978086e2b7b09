"""`OpenClaim`: a claim of this process, from its first writing to its end."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from threading import Lock
from uuid import uuid4

from klio_dagster.errors import ClaimLostError, EntitiesInFlightError
from klio_dagster.store.claim import Claim, ClaimState, encoded
from klio_dagster.store.claims import (
    claim_of,
    generation_of,
    holder_of,
    listed_claims,
    read_listed,
    remove_claim,
)
from klio_dagster.store.clock import Clock, passed_s, stamped, store_time, wall_clock_from
from klio_dagster.store.layout import beat_path, claim_path
from klio_dagster.store.objects import ObjectStore
from klio_dagster.store.processes import Process

WRITTEN_BY_S = 55.0  # of silence; before others take over, and their clock may be a second fast


class OpenClaim:
    """A claim of this process. Made by `open_claim`; threads may share it."""

    def __init__(self, store: ObjectStore, claim: Claim, monotonic: Clock = passed_s) -> None:
        self._store = store
        self._monotonic = monotonic
        self._clock: Clock | None = None
        self._others: Sequence[ClaimState] = ()
        self._beaten_at = monotonic()
        self._claim = claim
        self._assets = claim.assets
        self._lock = Lock()
        self._is_open = True
        self._is_lost = False
        self._beats = 0

    @property
    def claim(self) -> Claim:
        """What is held now."""
        return self._claim

    @property
    def clock(self) -> Clock:
        """Seconds since 1970 by the store's clock, seen once: what a run records is by it."""
        return self._clock or time.time

    @property
    def others(self) -> Sequence[ClaimState]:
        """The claims there were when this one was seen to be there."""
        return self._others

    def beat(self) -> None:
        """Say that the run lives. Does nothing once the claim is closed.

        Raises:
            ClaimLostError: others took the run for dead: it must write nothing any more.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        with self._lock:
            if self._is_held():
                self._put_beat()

    def start(self) -> None:
        """Say since when it is held: it goes after all claims there are by now.

        Raises:
            ClaimLostError: others took the run for dead.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        with self._lock:
            if self._is_open:  # a moment ago; whether it still is, is asked below
                self._put_beat()
        passed, work_id = self._monotonic(), self._claim.work_id
        listed = listed_claims(self._store)
        beat = listed.get(beat_path(work_id))
        now = store_time(self._store) if beat is None else beat.modified.timestamp()
        if self._clock is None:
            at = time.time() if self._store.local_path("") is not None else now
            self._clock = wall_clock_from(at, passed, self._monotonic)
        self._others = read_listed(self._store, listed, lambda: now, self._monotonic, work_id)
        # Ours until now: that of its object, which readers take as long as it says none itself.
        ours = listed.get(claim_path(work_id))
        created = now if ours is None else max(now, ours.modified.timestamp())
        latest = max((state.claim.created for state in self._others), default=0.0)
        if created < latest:  # the clock was set back
            created = math.nextafter(latest, math.inf)
        self._change(replace(self._claim, created=created))

    def set_manifest(self, path: str) -> None:
        """Name the manifest that says which entities are held.

        Raises:
            ClaimLostError: others took the run for dead.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        self._change(replace(self._claim, manifest=path, job_id=None))  # it gets a job of its own

    def set_job(self, job_id: str) -> None:
        """Name the job that works for it.

        Raises:
            ClaimLostError: others took the run for dead.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        self._change(replace(self._claim, job_id=job_id))

    def revoke(self) -> None:
        """Let nobody write for it any more but its own launcher, `WRITTEN_BY_S` from now.

        Raises:
            ClaimLostError: others took the run for dead.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        self._change(replace(self._claim, generation=uuid4().hex))

    def hand_back(self, launcher: Process) -> None:
        """Name the launcher it had before it was adopted: it is an orphan again, for everybody.

        Raises:
            ClaimLostError: others took the run for dead.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        self._change(replace(self._claim, launcher=launcher))
        with self._lock:
            self._is_open = False  # no beat of ours says any more that it has one

    def release(self) -> None:
        """Hold nothing until it is renewed.

        Raises:
            ClaimLostError: others took the run for dead.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        self._change(replace(self._claim, assets=(), manifest=None, job_id=None))

    def renew(self) -> None:
        """Hold every entity of its assets again, and go after all claims there are by now.

        Raises:
            ClaimLostError: others took the run for dead.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        self._change(replace(self._claim, assets=self._assets, manifest=None, created=0.0))
        self.start()

    def close(self) -> None:
        """Give everything free, unless it was lost. Safe to call again.

        Raises:
            ConfigError: the store does not let us delete.
            StoreUnavailableError: it did not answer.
        """
        with self._lock, suppress(ClaimLostError):
            if self._is_held():
                remove_claim(self._store, self._claim.work_id)
            self._is_open = False

    def _change(self, claim: Claim) -> None:
        if self._left_s() < WRITTEN_BY_S / 2:
            self.beat()
        with self._lock:
            # Written unasked or late, a claim that others have cleared away would be there again,
            # and its run would go on beside the one that took its entities over.
            is_held = self._is_held()
            self._claim = claim
            if is_held:
                self._store.put_within(claim_path(claim.work_id), encoded(claim), self._left_s)

    def _put_beat(self) -> None:
        """Under the lock."""
        now = self._monotonic()
        self._beats += 1  # another content each time: some stores tell changes by that
        content = stamped({"beat": self._beats}, self._monotonic)
        self._store.put(beat_path(self._claim.work_id), content)
        self._beaten_at = now

    def _left_s(self) -> float:
        return self._beaten_at + WRITTEN_BY_S - self._monotonic()

    def _is_held(self) -> bool:
        """It was not closed. Asked under the lock.

        Raises:
            ClaimLostError: others took the run for dead, now or before.
        """
        if self._is_open:
            found = holder_of(self._store, self._claim.work_id)
            self._is_lost = found != (self._claim.generation, asdict(self._claim.launcher))
            self._is_open = not self._is_lost
        if self._is_lost:
            raise ClaimLostError(
                "it gave no sign of life for so long that others took its entities over",
                where=f"run {self._claim.run_id}",
                fix="what it had finished is recorded; run again for the rest",
            )
        return self._is_open


def open_claim(
    store: ObjectStore,
    run_id: str,
    *,
    assets: Sequence[str],
    work_id: str | None = None,
    engine: str = "local",
    job_id: str | None = None,
    seen: int = 0,
    outbox: str = "",
    monotonic: Clock = passed_s,
) -> OpenClaim:
    """Write a claim of this process. From then on every run that plans sees it.

    Args:
        store: the store of the run's outputs.
        run_id: Dagster's id of the run.
        assets: keys of the assets it computes.
        work_id: names the folders of this work; the run's id if None.
        engine: what executes the run's job.
        job_id: the job at a remote service.
        seen: where the newest event of the assets stands in the ledger.
        outbox: the group whose entities have to be passed on if we die before we did.
        monotonic: seconds; goes on while the process or the machine is stopped.

    Raises:
        ConfigError: the store does not let us write, or the run id cannot name a folder.
        EntitiesInFlightError: the same work of the same run is being done already.
        StoreUnavailableError: the store did not answer.
    """
    claim = Claim(
        work_id=work_id or run_id,
        run_id=run_id,
        generation=uuid4().hex,
        created=0.0,
        assets=tuple(assets),
        manifest=None,
        launcher=Process.this(),
        engine=engine,
        job_id=job_id,
        seen=seen,
        outbox=outbox,
    )
    # That there is one may also be the answer to our second try, when the first one's was lost.
    is_new = store.put_if_absent(claim_path(claim.work_id), encoded(claim))
    if not is_new and generation_of(store, claim.work_id) != claim.generation:
        raise EntitiesInFlightError(
            "another process is executing it already",
            where=f"run {run_id}",
            fix="wait for it to end, or terminate it, then run again",
        )
    opened = OpenClaim(store, claim, monotonic)
    # The claim's own time decides who goes first, and only after it can be seen: were it taken
    # before, another run could read all claims, miss this one, and still have to give way to it.
    # An object's own time is that of its writing, a moment before it can be seen; so the time is
    # that of the beat, which is written after. Until the claim says it, readers take the object's.
    opened.start()
    return opened


def adopt(store: ObjectStore, state: ClaimState, monotonic: Clock = passed_s) -> OpenClaim | None:
    """Become the launcher of a claim whose own is gone; None if it is no orphan any more.

    Its job and its workers do not notice.

    Args:
        store: where it lies.
        state: as it was read.
        monotonic: seconds.

    Raises:
        ClaimLostError: another run has taken it over at the same moment.
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer.
    """
    found = claim_of(store, state.claim.work_id)
    if found is None or found.launcher != state.claim.launcher:
        return None
    ours = replace(found, launcher=Process.this())
    store.put(claim_path(ours.work_id), encoded(ours))
    adopted = OpenClaim(store, ours, monotonic)
    adopted.beat()
    return adopted
