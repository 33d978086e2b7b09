"""Claims: what a started run holds, and whether that run still lives.

<store>/_klio/open/<work id>/claim.json   who holds what; written before the run plans
<store>/_klio/open/<work id>/beat         rewritten every 10 s; its age is by the store's clock
<store>/_klio/open/<work id>/settling     who records what the dead run had finished
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import Any
from uuid import uuid4

from klio_dagster.errors import ClaimLostError, ConfigError, EntitiesInFlightError
from klio_dagster.store.layout import (
    CLOCK_PATH,
    OPEN_PREFIX,
    beat_path,
    claim_path,
)
from klio_dagster.store.objects import ObjectInfo, ObjectStore
from klio_dagster.store.processes import Process

DEAD_AFTER_S = 60.0

_CLAIM_FILE = claim_path("x").rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one group of one run holds.

    Args:
        work_id: names the folders of this work in the store: the run's id, with the group's name
            where a run computes several groups.
        run_id: Dagster's id of the run.
        generation: tells this claim from another one of the same work.
        created: seconds since 1970 by the store's clock.
        assets: keys of the assets it computes, their parts joined by `/`.
        manifest: path in the store of what it was asked to do; None until it has planned.
        launcher: the process that started the work and keeps the claim alive.
        engine: what executes the run's job.
        job_id: the job at a remote service; None for local engines.
    """

    work_id: str
    run_id: str
    generation: str
    created: float
    assets: tuple[str, ...]
    manifest: str | None
    launcher: Process
    engine: str
    job_id: str | None


@dataclass(frozen=True, slots=True)
class ClaimState:
    """A claim somebody wrote, and whether its run lives.

    Args:
        claim: what is held.
        is_alive: whether it still counts.
        why: what that was concluded from, for messages.
    """

    claim: Claim
    is_alive: bool
    why: str


class OpenClaim:
    """A claim of this process. Made by `open_claim`; threads may share it."""

    def __init__(self, store: ObjectStore, claim: Claim) -> None:
        self._store = store
        self._claim = claim
        self._assets = claim.assets
        self._lock = Lock()
        self._is_open = True
        self._beats = 0

    @property
    def claim(self) -> Claim:
        """What is held now."""
        return self._claim

    def beat(self) -> float:
        """Say that the run lives. Does nothing once the claim is closed.

        Returns:
            The time by the store's clock, in seconds since 1970.

        Raises:
            ClaimLostError: others took the run for dead: it must write nothing any more.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        path = beat_path(self._claim.work_id)
        with self._lock:
            if not self._is_open:
                return time.time()
            if generation_of(self._store, self._claim.work_id) != self._claim.generation:
                self._is_open = False
                raise ClaimLostError(
                    "it gave no sign of life for so long that others took its entities over",
                    where=f"run {self._claim.run_id}",
                    fix="what it had finished is recorded; run again for the rest",
                )
            self._beats += 1  # another content each time: some stores tell changes by that
            self._store.put(path, f"{self._beats}\n".encode())
        return self._store.head(path).modified.timestamp()

    def start(self, created: float) -> None:
        """Say since when it is held, in seconds since 1970 by the store's clock.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        self._change(replace(self._claim, created=created))

    def set_manifest(self, path: str) -> None:
        """Name the manifest that says which entities are held.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        self._change(replace(self._claim, manifest=path))

    def release(self) -> None:
        """Hold nothing until it is renewed.

        Raises:
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
        self.start(self.beat())

    def close(self) -> None:
        """Give everything free, unless it was lost. Safe to call again.

        Raises:
            ConfigError: the store does not let us delete.
            StoreUnavailableError: it did not answer.
        """
        with self._lock:
            if self._is_open:
                remove_claim(self._store, self._claim.work_id)
            self._is_open = False

    def _change(self, claim: Claim) -> None:
        with self._lock:
            self._claim = claim
            if self._is_open:
                self._store.put(claim_path(claim.work_id), _encoded(claim))


def open_claim(
    store: ObjectStore,
    run_id: str,
    *,
    assets: Sequence[str],
    work_id: str | None = None,
    engine: str = "local",
    job_id: str | None = None,
) -> OpenClaim:
    """Write a claim of this process. From then on every run that plans sees it.

    Args:
        store: the store of the run's outputs.
        run_id: Dagster's id of the run.
        assets: keys of the assets it computes.
        work_id: names the folders of this work; the run's id if None.
        engine: what executes the run's job.
        job_id: the job at a remote service.

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
    )
    if not store.put_if_absent(claim_path(claim.work_id), _encoded(claim)):
        raise EntitiesInFlightError(
            "another process is executing it already",
            where=f"run {run_id}",
            fix="wait for it to end, or terminate it, then run again",
        )
    opened = OpenClaim(store, claim)
    # The claim's own time decides who goes first, and only after it can be seen: were it taken
    # before, another run could read all claims, miss this one, and still have to give way to it.
    # An object's own time is that of its writing, a moment before it can be seen; so the time is
    # that of the beat, which is written after. Until the claim says it, readers take the object's.
    opened.start(opened.beat())
    return opened


def read_claims(store: ObjectStore, *, now: float | None = None) -> list[ClaimState]:
    """All claims in the store and whether their runs live; the one that goes first, first.

    A claim is dead if its process is gone (seen from the same machine), or if it was not touched
    for 60 s.

    Args:
        store: the store of the runs' outputs.
        now: the store's clock in seconds since 1970, what `OpenClaim.beat` returned; this
            machine's clock if None, for readers that write nothing.

    Raises:
        ConfigError: a claim cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    now = time.time() if now is None else now
    listed = {info.path: info for info in store.list(OPEN_PREFIX)}
    states: list[ClaimState] = []
    for path, info in listed.items():
        if not path.endswith(f"/{_CLAIM_FILE}"):
            continue
        data = store.get_or_none(path)
        if data is None:  # closed since it was listed
            continue
        claim = _parse(data, info, store.uri(path))
        beat = listed.get(beat_path(claim.work_id), info)
        touched = max(beat.modified, info.modified).timestamp()
        states.append(_state(claim, now - touched))
    return sorted(states, key=lambda state: _order(state.claim))


def store_time(store: ObjectStore) -> float:
    """The time by the store's clock, in seconds since 1970. Writes a small object to learn it.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer.
    """
    store.put(CLOCK_PATH, b"now\n")
    return store.head(CLOCK_PATH).modified.timestamp()


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


def remove_claim(store: ObjectStore, work_id: str) -> None:
    """Give free what a run held; fine if it held nothing.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    # The claim last: killed in between, it is a dead claim that the next run clears away.
    store.delete(beat_path(work_id))
    store.delete(claim_path(work_id))


def goes_before(one: Claim, other: Claim) -> bool:
    """Whether of two claims on one entity the first one computes it."""
    return _order(one) < _order(other)


def _state(claim: Claim, age_s: float) -> ClaimState:
    if claim.launcher.is_gone:
        return ClaimState(claim, False, f"{claim.launcher} is gone")
    if age_s > DEAD_AFTER_S:
        host = claim.launcher.host
        return ClaimState(claim, False, f"no sign of life from {host} for {age_s:.0f} s")
    return ClaimState(claim, True, f"{claim.launcher}, seen {age_s:.0f} s ago")


def _order(claim: Claim) -> tuple[float, str]:
    return claim.created, claim.work_id


def _encoded(claim: Claim) -> bytes:
    return json.dumps(asdict(claim), indent=1).encode()


def _parse(data: bytes, info: ObjectInfo, uri: str) -> Claim:
    try:
        fields: dict[str, Any] = json.loads(data)
        fields["assets"] = tuple(fields["assets"])
        fields["launcher"] = Process(**fields["launcher"])
        fields["created"] = fields["created"] or info.modified.timestamp()
        claim = Claim(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            "it is no claim that this version can read",
            where=f"claim {uri}",
            fix="use the version that wrote it, or remove it once that run has ended",
        ) from error
    return claim
