"""The driver's side of a job elsewhere: followed to its end, cancelled when that is asked for."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic

from klio_dagster.engine.frames import FrameReader
from klio_dagster.engine.options import RemoteOptions
from klio_dagster.engine.remote.job import Look, RemoteJob, State
from klio_dagster.engine.remote.told import CANCEL, Change, Tell
from klio_dagster.errors import JobLeftError, KlioError, NoJobError, RunError

_FIRST_POLL_S = 0.5
_LONGEST_POLL_S = 5.0
_SLOWER = 1.5  # each look comes so much later than the last one
_CANCEL_EVERY_S = 30.0  # what was asked for may have been lost
_LONGEST_SILENCE_S = 600.0  # of a service, before nobody can say that it will answer again

Pause = Callable[[float], None]


@dataclass(slots=True)
class Orders:
    """What the launcher orders while its driver watches."""

    why: str = ""
    """Of the job's end; empty while none is asked for."""
    _given: Event = field(default_factory=Event)

    def cancel(self, why: str) -> None:
        """Ask for the job's end."""
        self.why = self.why or why
        self._given.set()

    def pause(self, seconds: float) -> None:
        """Wait, or until the first order comes."""
        if self.why:
            Event().wait(seconds)
        else:
            self._given.wait(seconds)

    def listen(self, on_end: Callable[[], None]) -> None:
        """Take orders from standard input, in a thread.

        Args:
            on_end: called when the launcher has gone.
        """
        Thread(target=self._listen, args=(on_end,), daemon=True).start()

    def _listen(self, on_end: Callable[[], None]) -> None:
        frames = FrameReader(sys.stdin.fileno())
        while (said := frames.read()) is not None:
            for frame in said:
                if frame[0] == CANCEL:
                    self.cancel(frame[1])
        on_end()


class Watch:
    """Follows one job.

    Args:
        job: that was submitted, or found again.
        options: of its engine.
        orders: of the launcher.
        tell: takes what there is to say of the job.
        has_started: it was seen at work before.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        job: RemoteJob,
        options: RemoteOptions,
        orders: Orders,
        tell: Tell,
        *,
        has_started: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._job, self._options, self._orders, self._tell = job, options, orders, tell
        self._clock = clock
        self._shown: tuple[State | None, str] = None, ""
        self._has_started = has_started
        self._began = clock()
        self._cancelled_at: float | None = None
        self._asked_at = float("-inf")
        self._refused = ""

    def look(self) -> None:
        """Tell how the job is.

        Raises:
            KlioError: nobody can say.
            NoJobError: the service does not know it any more.
        """
        self._tell(self._job.info)
        self._take(self._job.look())

    def to_its_end(self) -> None:
        """Return when the job has done all it was to do.

        Silence and refusals (of a quota, of a login that has expired) end no job.

        Raises:
            JobLeftError: nobody can say whether it goes on.
            NoJobError: the service does not know it any more.
            RunError: it failed, was cancelled, or never started.
        """
        self._tell(self._job.info)
        answered = self._began = self._clock()
        poll_s = _FIRST_POLL_S
        while True:
            try:
                look = self._job.look()
                self._take(look)
                answered = self._clock()
                if look.state.has_ended:
                    break
                self._end_if_asked_for()
            except (JobLeftError, NoJobError):
                raise
            except KlioError as error:
                if self._clock() - answered > _LONGEST_SILENCE_S:
                    raise self._left(f"nobody says how it is: {error.what}") from error
            self._orders.pause(poll_s)
            poll_s = min(_LONGEST_POLL_S, poll_s * _SLOWER)
        bill = self._job.bill()
        if bill.counters:
            self._tell(bill)
        self._conclude(look)

    def _end_if_asked_for(self) -> None:
        """Order the job's end where somebody wants that, or where it never started.

        Raises:
            JobLeftError: it has not ended for too long.
        """
        within_s = self._options.start_timeout_s
        if not self._has_started and self._clock() - self._began > within_s:
            self._orders.cancel(f"it did not start in {within_s:g} s")
        if self._orders.why:
            self._cancel()

    def _take(self, look: Look) -> None:
        for message in look.messages:
            self._tell(message)
        # One that waits again, for slots that were lost, is not one that never started.
        self._has_started = self._has_started or look.state is not State.WAITING
        if (look.state, look.shown) != self._shown:
            self._shown = look.state, look.shown
            self._tell(Change(look.state, look.shown))

    def _cancel(self) -> None:
        """Ask for the job's end, now and then.

        Raises:
            JobLeftError: it has not ended for too long.
        """
        now = self._clock()
        if self._cancelled_at is None:
            self._cancelled_at = now
        if now - self._cancelled_at > self._options.cancel_timeout_s:
            asked = f"its end was asked for {now - self._cancelled_at:.0f} s ago, and it runs yet"
            raise self._left(f"{asked} ({self._refused})" if self._refused else asked)
        if now - self._asked_at > _CANCEL_EVERY_S:
            try:
                self._job.cancel()
                self._asked_at, self._refused = now, ""
            except KlioError as error:  # the next look asks again
                self._refused = error.what

    def _left(self, what: str) -> JobLeftError:
        return JobLeftError(
            f"{what}; it may go on", where=self._where(), fix="run again: the next run finds it"
        )

    def _conclude(self, look: Look) -> None:
        """Raise what has become of the job, unless all of it is done.

        Raises:
            RunError: it is not.
        """
        if look.state is State.DONE:
            return
        fix = "what is done stays done: mend the cause and run again"
        if self._orders.why:
            raise RunError(f"cancelled: {self._orders.why}", self._where(), fix)
        if look.state is State.CANCELLED:
            raise RunError("somebody else cancelled it", self._where(), "run again for the rest")
        said = self._job.error() or "its service does not say why"
        raise RunError(f"it failed: {said}", self._where(), fix)

    def _where(self) -> str:
        return f"{self._options.kind} job {self._job.info.id}"
