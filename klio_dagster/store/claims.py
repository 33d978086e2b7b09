"""Claims: what a started run holds, and whether that run still lives.

<store>/_klio/open/<work id>/claim.json   who holds what; written before the run plans
<store>/_klio/open/<work id>/beat         rewritten every 10 s; `store.clock` tells how old it is
<store>/_klio/open/<work id>/settling     who records what the dead run had finished
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from threading import Lock
from uuid import uuid4

from klio_dagster.errors import (
    ClaimLostError,
    EntitiesInFlightError,
    ObjectNotFoundError,
)
from klio_dagster.store.claim import Claim, ClaimState, encoded, order, parsed
from klio_dagster.store.clock import Clock, passed_s, silent_s, stamped, time_at, wall_clock_from
from klio_dagster.store.clock import store_time as store_time
from klio_dagster.store.layout import OPEN_PREFIX, beat_path, claim_path
from klio_dagster.store.objects import ObjectInfo, ObjectStore
from klio_dagster.store.processes import Process

DEAD_AFTER_S = 60.0
WRITTEN_BY_S = 55.0  # of silence; before others take over, and their clock may be a second fast

_CLAIM_FILE = claim_path("x").rpartition("/")[2]


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
        listed = _listed(self._store)
        beat = listed.get(beat_path(work_id))
        now = store_time(self._store) if beat is None else beat.modified.timestamp()
        if self._clock is None:
            at = time.time() if self._store.local_path("") is not None else now
            self._clock = wall_clock_from(at, passed, self._monotonic)
        self._others = _read(self._store, listed, lambda: now, self._monotonic, work_id)
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
        self._change(replace(self._claim, manifest=path))

    def release(self) -> None:
        """Hold nothing until it is renewed.

        Raises:
            ClaimLostError: others took the run for dead.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        self._change(replace(self._claim, assets=(), manifest=None))

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
            found = generation_of(self._store, self._claim.work_id)
            self._is_lost = found != self._claim.generation
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


def read_claims(
    store: ObjectStore,
    *,
    now: float | Clock | None = None,
    monotonic: Clock = passed_s,
    ours: str = "",
) -> list[ClaimState]:
    """All claims in the store and whether their runs live; the one that goes first, first.

    A claim is dead if its process is gone (seen from the same machine), or if it was not touched
    for 60 s.

    Args:
        store: the store of the runs' outputs.
        now: the store's clock in seconds since 1970, or what tells it if there is a claim of
            another machine; None: `time_at`.
        monotonic: seconds, for claims of this machine.
        ours: id of the reader's own work, whose claim is not read.

    Raises:
        ConfigError: a claim cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    told = partial(time_at, store) if now is None else now
    clock = cache(told if callable(told) else lambda: told)
    return _read(store, _listed(store), clock, monotonic, ours)


def _listed(store: ObjectStore) -> dict[str, ObjectInfo]:
    return {info.path: info for info in store.list(OPEN_PREFIX)}


def _read(
    store: ObjectStore, listed: Mapping[str, ObjectInfo], clock: Clock, monotonic: Clock, ours: str
) -> list[ClaimState]:
    own = claim_path(ours) if ours else ""
    states: list[ClaimState] = []
    for path, info in listed.items():
        if path == own or not path.endswith(f"/{_CLAIM_FILE}"):
            continue
        data = store.get_or_none(path)
        if data is None:  # closed since it was listed
            continue
        claim = parsed(data, info, store.uri(path))
        beat = beat_path(claim.work_id)
        touched = [each.modified.timestamp() for each in (info, listed.get(beat, info))]

        def by_store_s(touched: Sequence[float] = touched) -> float:
            return min(abs(clock() - at) for at in touched)

        age_s = silent_s(store, beat, claim.launcher, by_store_s, monotonic)
        states.append(_state(claim, age_s))
    return sorted(states, key=lambda state: order(state.claim))


def generation_of(store: ObjectStore, work_id: str) -> str | None:
    """The generation of the claim that there is; None if there is none, or none we can read.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    data = store.get_or_none(claim_path(work_id))
    try:
        return None if data is None else json.loads(data)["generation"]
    except (ValueError, KeyError, TypeError):
        return None


def claim_of(store: ObjectStore, work_id: str) -> Claim | None:
    """The claim of a work; None if there is none, or none we can read.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    path = claim_path(work_id)
    with suppress(ObjectNotFoundError):
        return parsed(store.get(path), store.head(path), store.uri(path))
    return None


def remove_claim(store: ObjectStore, work_id: str) -> None:
    """Give free what a run held; fine if it held nothing.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    # The claim last: killed in between, it is a dead claim that the next run clears away.
    store.delete(beat_path(work_id))
    store.delete(claim_path(work_id))


def _state(claim: Claim, age_s: float) -> ClaimState:
    if claim.launcher.is_gone:
        return ClaimState(claim, False, f"{claim.launcher} is gone")
    if age_s > DEAD_AFTER_S:
        host = claim.launcher.host
        return ClaimState(claim, False, f"no sign of life from {host} for {age_s:.0f} s")
    return ClaimState(claim, True, f"{claim.launcher}, seen {age_s:.0f} s ago")
