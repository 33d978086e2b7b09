"""Claims: what a started run holds, and whether that run still lives.

<store>/_klio/open/<run id>/claim.json   who holds what; written before the run plans
<store>/_klio/open/<run id>/beat         rewritten every 10 s; its age is taken by the store's clock
"""

import json
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

from klio_dagster.errors import ConfigError, EntitiesInFlightError, KlioError
from klio_dagster.store.layout import CLOCK_PATH, OPEN_PREFIX, beat_path, claim_path
from klio_dagster.store.objects import ObjectInfo, ObjectStore

BEAT_EVERY_S = 10.0
DEAD_AFTER_S = 60.0

_CLAIM_FILE = claim_path("x").rpartition("/")[2]
_STATE, _START_TIME = 0, 19  # fields of /proc/<pid>/stat behind the name, see proc(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one run holds.

    Args:
        run_id: Dagster's id of the run.
        created: seconds since 1970 by the store's clock.
        assets: names of the assets it computes.
        manifest: path in the store of what it was asked to do; None until it has planned.
        host: name of the launcher's machine.
        machine: tells machines of one name apart, and their containers; empty if unknown.
        pid: the launcher's process.
        process_started: start of that process in clock ticks since boot; None if unknown.
        engine: what executes the run's job.
        job_id: the job at a remote service; None for local engines.
    """

    run_id: str
    created: float
    assets: tuple[str, ...]
    manifest: str | None
    host: str
    machine: str
    pid: int
    process_started: int | None
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
        self._lock = Lock()
        self._is_open = True

    @property
    def claim(self) -> Claim:
        """What is held now."""
        return self._claim

    def beat(self) -> float:
        """Say that the run lives. Does nothing once the claim is closed.

        Returns:
            The time by the store's clock, in seconds since 1970.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        path = beat_path(self._claim.run_id)
        with self._lock:
            if not self._is_open:
                return time.time()
            self._store.put(path, b"alive\n")
        return self._store.head(path).modified.timestamp()

    def set_manifest(self, path: str) -> None:
        """Name the manifest that says which entities are held.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        with self._lock:
            self._claim = replace(self._claim, manifest=path)
            if self._is_open:
                _write(self._store, self._claim)

    def close(self) -> None:
        """Give everything free. Safe to call again.

        Raises:
            ConfigError: the store does not let us delete.
            StoreUnavailableError: it did not answer.
        """
        with self._lock:
            self._is_open = False
            remove_claim(self._store, self._claim.run_id)


class Heartbeat:
    """Keeps a claim alive from a thread while a `with` block runs.

    A store that does not answer is asked again at the next beat; `problem` is what it said last.

    Args:
        claim: what to keep alive.
        every_s: seconds between two beats.
    """

    def __init__(self, claim: OpenClaim, every_s: float = BEAT_EVERY_S) -> None:
        self.problem: KlioError | None = None
        self._claim = claim
        self._every_s = every_s
        self._ended = Event()
        self._thread = Thread(target=self._run, name="klio-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._claim.beat()
                self.problem = None
            except KlioError as error:
                self.problem = error


def open_claim(
    store: ObjectStore,
    run_id: str,
    *,
    assets: Sequence[str],
    manifest: str | None = None,
    engine: str = "local",
    job_id: str | None = None,
) -> OpenClaim:
    """Write a claim of this process. From then on every run that plans sees it.

    Args:
        store: the store of the run's outputs.
        run_id: Dagster's id of the run.
        assets: names of the assets it computes.
        manifest: path in the store of what it was asked to do, if that exists already.
        engine: what executes the run's job.
        job_id: the job at a remote service.

    Raises:
        ConfigError: the store does not let us write, or the run id cannot name a folder.
        EntitiesInFlightError: the run holds a claim already, for another group of it.
        StoreUnavailableError: the store did not answer.
    """
    pid = os.getpid()
    claim = Claim(
        run_id=run_id,
        created=0.0,
        assets=tuple(assets),
        manifest=manifest,
        host=socket.gethostname(),
        machine=_machine(),
        pid=pid,
        process_started=process_started(pid),
        engine=engine,
        job_id=job_id,
    )
    # The claim's own time decides who goes first, and only after it can be seen: were it taken
    # before, another run could read all claims, miss this one, and still have to give way to it.
    # Until the second write readers take the object's time, which is the same.
    if not store.put_if_absent(claim_path(run_id), _encoded(claim)):
        raise EntitiesInFlightError(
            "another group of this run is computing into the same store",
            where=f"run {run_id}",
            fix="give Definitions executor=dg.in_process_executor, or use `klio run`",
        )
    claim = replace(claim, created=store.head(claim_path(run_id)).modified.timestamp())
    _write(store, claim)
    opened = OpenClaim(store, claim)
    opened.beat()
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
        beat = listed.get(beat_path(claim.run_id), info)
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


def remove_claim(store: ObjectStore, run_id: str) -> None:
    """Give free what a run held; fine if it held nothing.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    # The claim last: killed in between, it is a dead claim that the next run clears away.
    store.delete(beat_path(run_id))
    store.delete(claim_path(run_id))


def goes_before(one: Claim, other: Claim) -> bool:
    """Whether of two claims on one entity the first one computes it."""
    return _order(one) < _order(other)


def process_started(pid: int) -> int | None:
    """Start of a process in clock ticks since boot; None if it ended or nobody can tell."""
    try:
        # The name in parentheses may itself contain spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A process that was killed but not yet waited for still has its number.
    return None if fields[_STATE] in {"Z", "X"} else int(fields[_START_TIME])


def _is_gone(claim: Claim) -> bool:
    started = process_started(claim.pid)
    if started is not None:
        return claim.process_started not in {None, started}
    try:
        os.kill(claim.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there and belongs to somebody whose processes we are not shown
        return False
    return _machine() != ""  # where there is /proc, only a zombie has a number and no start


def _state(claim: Claim, age_s: float) -> ClaimState:
    is_here = (claim.host, claim.machine) == (socket.gethostname(), _machine())
    if is_here and _is_gone(claim):
        return ClaimState(claim, False, f"process {claim.pid} on {claim.host} is gone")
    if age_s > DEAD_AFTER_S:
        return ClaimState(claim, False, f"no sign of life from {claim.host} for {age_s:.0f} s")
    return ClaimState(claim, True, f"process {claim.pid} on {claim.host}, seen {age_s:.0f} s ago")


def _order(claim: Claim) -> tuple[float, str]:
    return claim.created, claim.run_id


def _write(store: ObjectStore, claim: Claim) -> None:
    store.put(claim_path(claim.run_id), _encoded(claim))


def _encoded(claim: Claim) -> bytes:
    return json.dumps(asdict(claim), indent=1).encode()


def _parse(data: bytes, info: ObjectInfo, uri: str) -> Claim:
    try:
        fields: dict[str, Any] = json.loads(data)
        fields["assets"] = tuple(fields["assets"])
        fields["created"] = fields["created"] or info.modified.timestamp()
        claim = Claim(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            "it is no claim that this version can read",
            where=f"claim {uri}",
            fix="use the version that wrote it, or remove it once that run has ended",
        ) from error
    return claim


@lru_cache(maxsize=1)
def _machine() -> str:
    """Boot and process namespace: only within both do process numbers mean the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
