"""A claim kept alive while its run works, and watched by those who write for it."""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

from klio_dagster.errors import ClaimLostError, KlioError
from klio_dagster.store.claims import claim_of, generation_of
from klio_dagster.store.clock import Clock, passed_s, silent_s, store_time
from klio_dagster.store.layout import beat_path
from klio_dagster.store.objects import ObjectInfo, ObjectStore
from klio_dagster.store.open_claim import WRITTEN_BY_S, OpenClaim

BEAT_EVERY_S = 10.0
LOOK_EVERY_S = 5.0
CONFIRMED_FOR_S = 30.0  # half of the silence after which others may take the entities over


class Heartbeat:
    """Keeps a claim alive from a thread while a `with` block runs.

    A store that does not answer is asked again at the next beat.

    Args:
        claim: what to keep alive.
        every_s: seconds between two beats.
        monotonic: seconds; goes on while the process or the machine is stopped.
    """

    def __init__(
        self, claim: OpenClaim, every_s: float = BEAT_EVERY_S, monotonic: Clock = passed_s
    ) -> None:
        self._claim = claim
        self._every_s = every_s
        self._monotonic = monotonic
        self._confirmed_at = monotonic()
        self._lost: ClaimLostError | None = None
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

    def confirm(self) -> None:
        """Return if the claim is ours still; asks the store only where the last beat is old.

        Raises:
            ClaimLostError: others took the run for dead: nothing of it may be written any more.
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        if self._lost is None and self._monotonic() - self._confirmed_at > CONFIRMED_FOR_S:
            self._beat()
        if self._lost is not None:
            raise self._lost

    def _beat(self) -> None:
        asked_at = self._monotonic()
        try:
            self._claim.beat()
        except ClaimLostError as error:
            self._lost = error
        else:
            self._confirmed_at = asked_at

    def _run(self) -> None:
        while self._lost is None and not self._ended.wait(self._every_s):
            with suppress(KlioError):
                self._beat()


class Confirmation:
    """Whether a run still holds its claim, seen from a process that writes for it.

    The run's launcher is elsewhere, and may be stopped or cut off without knowing. Its beats are
    the confirmation: after 30 s without one nothing may be written, and after 60 s others may take
    the run for dead.

    A job at a service goes on without its launcher. There it is the claim itself that confirms:
    whoever takes the entities over ends the job first, or gives the claim another generation and
    waits until nothing can be seen any more that was begun before.

    Args:
        store: where the claim lies.
        work_id: names the claim.
        generation: of the claim this process writes for.
        monotonic: seconds.
        needs_beats: its launcher has to live.
    """

    def __init__(
        self,
        store: ObjectStore,
        work_id: str,
        generation: str,
        monotonic: Clock = passed_s,
        *,
        needs_beats: bool = True,
    ) -> None:
        self._needs_beats = needs_beats
        self._store = store
        self._work_id = work_id
        self._generation = generation
        self._monotonic = monotonic
        self._beat: str | None = None
        self._confirmed_at = float("-inf")
        self._looked_at = float("-inf")
        self.is_lost = False

    @property
    def is_fresh(self) -> bool:
        """The run was alive a moment ago: what it computed may be written."""
        return not self.is_lost and self._monotonic() - self._confirmed_at <= CONFIRMED_FOR_S

    @property
    def left_s(self) -> float:
        """Seconds in which what is written now has to be seen."""
        return self._confirmed_at + WRITTEN_BY_S - self._monotonic()

    def look(self) -> None:
        """Look at claim and beat. A store that does not answer confirms nothing."""
        with suppress(KlioError):
            now = self._monotonic()
            if generation_of(self._store, self._work_id) != self._generation:
                self.is_lost = True
                return
            if not self._needs_beats:
                self._confirmed_at = now
                return
            beat = self._store.head(beat_path(self._work_id))
            if self._beat is None:
                self._confirmed_at = now - self._silent_s(beat)
            elif beat.version != self._beat:  # written at some time since the last look
                self._confirmed_at = self._looked_at
            self._beat, self._looked_at = beat.version, now

    def _silent_s(self, beat: ObjectInfo) -> float:
        claim = claim_of(self._store, self._work_id)
        if claim is None:
            return float("inf")
        return silent_s(
            self._store,
            beat.path,
            claim.launcher,
            lambda: store_time(self._store) - beat.modified.timestamp(),
            self._monotonic,
        )

    def watch(self, on_lost: Callable[[], None] = lambda: None) -> None:
        """Look every few seconds from a thread, which ends with the process.

        Args:
            on_lost: called once, in that thread, when the claim is lost.
        """
        self.look()
        Thread(target=self._watch, args=(on_lost,), name="klio-confirmation", daemon=True).start()

    def _watch(self, on_lost: Callable[[], None]) -> None:
        while not self.is_lost:
            time.sleep(LOOK_EVERY_S)
            self.look()
        on_lost()

    def wait(self, poll_s: float = 0.2) -> float:
        """Return as soon as what was computed may be written; never, once the claim is lost.

        The process that supervises this one ends it then.

        Returns:
            `left_s`.
        """
        while not self.is_fresh:
            time.sleep(poll_s)
        return self.left_s
