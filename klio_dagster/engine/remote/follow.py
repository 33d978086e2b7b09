"""The run's side of a job elsewhere: submitted or found again, followed, cancelled if need be.

The driver watches the job; this process follows the driver, and starts another one if that dies:
the job goes on without either of them.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from klio_dagster.core.manifest import Manifest
from klio_dagster.core.receipt import Receipt
from klio_dagster.engine.driver_process import DriverProcess, OnOutput, environment_of
from klio_dagster.engine.frames import FrameReader
from klio_dagster.engine.options import RemoteOptions
from klio_dagster.engine.receiving import OnReceipts, so_far
from klio_dagster.engine.remote.job import JobInfo, State
from klio_dagster.engine.remote.told import Change, Ending, Kind, Told, order_cancel, told_of
from klio_dagster.errors import (
    ClaimLostError,
    ConfigError,
    JobLeftError,
    KlioError,
    LedgerError,
    NoJobError,
    RunError,
    StoreUnavailableError,
)
from klio_dagster.store.layout import manifest_head, receipts_prefix
from klio_dagster.store.receipts import ReceiptTail
from klio_dagster.store.store import Store

_MOST_DRIVERS = 4
_TO_SUBMIT_S = 600.0  # a driver loads Beam, stages what workers need, and waits for the service
_SUBMIT, _ATTACH, _PEEK = "--launched", "--attach", "--peek"  # of the driver
_FIX = "what is done stays done: mend the cause and run again"

OnJob = Callable[[Told], None]


class Following:
    """Follows the job of one manifest.

    Args:
        manifest: the head, which is in the store.
        store: where the receipts come.
        options: of the engine.
        on_receipts: takes new receipts, in this thread; often none.
        on_output: takes what the driver prints, a line at a time, in another thread.
        on_job: takes what there is to say of the job, in this thread.
        is_ours: the run has submitted it: what ends the run early ends the job.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        manifest: Manifest,
        store: Store,
        options: RemoteOptions,
        *,
        on_receipts: OnReceipts,
        on_output: OnOutput,
        on_job: OnJob,
        is_ours: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manifest, self._store, self._options = manifest, store, options
        self._on_receipts, self._on_output, self._on_job = on_receipts, on_output, on_job
        self._is_ours, self._clock = is_ours, clock
        self._tail: ReceiptTail | None = ReceiptTail(store, manifest.run)
        self._job_id: str | None = None
        self._state = State.WAITING
        self._has_started = False
        self._ending: Ending | None = None
        self._moved_at = clock()
        self._is_stalled = False
        self._is_named = False
        self._started_at = clock()

    def submit(self) -> None:
        """Have the manifest carried out, and follow that to its end.

        Raises:
            as `_follow`.
        """
        self._follow(_SUBMIT)

    def attach(self, job_id: str | None) -> None:
        """Follow the job that was submitted for the manifest before.

        Args:
            job_id: of the job, where that is known.

        Raises:
            NoJobError: there is none.
            as `_follow`.
        """
        self._job_id = job_id
        # It worked before its launcher died.
        receipts = self._store.list(receipts_prefix(self._manifest.run))
        self._has_started = next(receipts, None) is not None
        self._follow(_ATTACH)

    def peek(self, job_id: str | None) -> State | None:
        """The state of the job that was submitted for the manifest; None if there is none.

        Args:
            job_id: of the job, where that is known.

        Raises:
            KlioError: nobody can say.
        """
        self._job_id, self._tail = job_id, None
        try:
            self._follow(_PEEK)
        except NoJobError:
            return None
        return self._state

    def _follow(self, how: str) -> None:
        """Follow the job.

        Raises:
            ConfigError: the engine's options are wrong, or the service refuses the job.
            JobLeftError: it may go on, and is not watched any more.
            KlioError: as `on_receipts` raised it.
            NoJobError: the service knows of no job.
            RunError: the job ended before every task had its receipts.
        """
        code, is_new = 0, how == _SUBMIT
        for _ in range(_MOST_DRIVERS):
            code = self._with_driver(how)
            if code == 0:
                return
            if self._ending is not None:
                break
            how = _ATTACH if how == _SUBMIT else how  # it was killed, the job goes on
        if self._ending is not None:
            if self._ending.kind is Kind.NO_JOB and is_new:
                # Its first driver died: whether it had submitted it nobody knows for a while.
                said = "its driver died, and its service knows of no job yet"
                raise self._left(self._ending.what if self._is_named else said)
            _raise(self._ending)
        raise JobLeftError(
            f"its driver died {_MOST_DRIVERS} times, the last time with code {code}",
            where=self._where,
            fix="the job may go on: run again, the next run finds it",
        )

    def _with_driver(self, how: str) -> int:
        read, write = os.pipe()
        job = [] if self._job_id is None else ["--job", self._job_id]
        job += ["--started"] if self._has_started else []
        driver = DriverProcess.start(
            [
                *(self._store.uri(manifest_head(self._manifest.run)), how),
                *("--tell", str(write), *job),
            ],
            environment_of(self._store.access),
            self._on_output,
            pass_fds=[write],
        )
        os.close(write)
        os.set_blocking(read, False)
        self._is_stalled = False  # a driver that takes its place has to be told again
        self._started_at = self._clock()
        try:
            with self._cancelling_if_it_breaks(driver, FrameReader(read)) as frames:
                self._until_it_ends(driver, frames)
        finally:
            driver.end()
            os.close(read)
        assert driver.code is not None
        return driver.code

    def _until_it_ends(self, driver: DriverProcess, frames: FrameReader) -> None:
        is_running = True
        while is_running:
            is_running = not driver.has_ended()
            self._take(frames)
            self._on_receipts([])  # what is held is recorded, and progress is said, by the clock
            for receipts in self._new():
                self._moved_at = self._clock()
                self._on_receipts(receipts)
            self._cancel_if_stalled(driver)
            self._check_submitted()
        # Everything is durable now; nobody asks a second time.
        for receipts in self._tail.new() if self._tail else ():
            self._on_receipts(receipts)

    def _new(self) -> Iterator[list[Receipt]]:
        return so_far(self._tail) if self._tail else iter(())

    @contextmanager
    def _cancelling_if_it_breaks(
        self, driver: DriverProcess, frames: FrameReader
    ) -> Iterator[FrameReader]:
        """Whatever ends this early, an interrupt or an error, ends the job too, and waits for it.

        But not where others have the job now, where it is another run's, or where the ledger or the
        store are out of order: then the claim stays, and the next run records what the job
        finishes.

        Raises:
            ClaimLostError: others have it.
            LedgerError: it is out of order.
            JobLeftError: the job has not ended, or the store does not answer.
            StoreUnavailableError: it does not answer, and the job is another run's.
        """
        try:
            yield frames
        except (ClaimLostError, JobLeftError, LedgerError):
            raise
        except StoreUnavailableError as error:  # the job writes to it from somewhere else
            if not self._is_ours:
                raise
            raise self._left(f"{error.where}: {error.what}") from error
        except BaseException as error:
            if not self._is_ours:
                raise
            if isinstance(error, KlioError):
                self._tail = None  # who takes receipts can take no more of them
            try:
                self._cancel(driver, frames, type(error).__name__)
            except JobLeftError:
                raise
            except KlioError as broken:
                raise self._left(f"while its job was cancelled: {broken.what}") from broken
            except BaseException as interrupt:
                raise self._left("it was interrupted while its job was cancelled") from interrupt
            raise

    def _cancel(self, driver: DriverProcess, frames: FrameReader, why: str) -> None:
        """Order the job's end, and wait for it.

        Raises:
            JobLeftError: it has not ended.
        """
        with suppress(OSError):
            order_cancel(driver.orders, f"its run has ended ({why})")
        until = self._clock() + self._options.cancel_timeout_s
        while not driver.has_ended():
            self._take(frames)
            if self._clock() > until:
                raise self._left("its job has not ended though it was cancelled")
        self._take(frames)
        is_over = self._ending is not None and self._ending.kind in {Kind.OVER, Kind.CONFIG}
        if not (self._state.has_ended or is_over):
            raise self._left("nobody says that its job has ended")
        for receipts in self._tail.new() if self._tail else ():
            self._on_receipts(receipts)

    def _cancel_if_stalled(self, driver: DriverProcess) -> None:
        silent_s = self._clock() - self._moved_at
        # Also while it waits again, for machines that were lost: nothing else bounds that.
        if not self._has_started or silent_s <= self._options.stall_timeout_s:
            return
        if not self._is_stalled:
            self._is_stalled = True
            with suppress(OSError):
                order_cancel(
                    driver.orders, f"it has started, and no receipt came for {silent_s:.0f} s"
                )

    def _check_submitted(self) -> None:
        """A service may take a submission, or a question, and never answer.

        Raises:
            JobLeftError: nobody has heard of the job for too long.
        """
        silent_s = self._clock() - self._started_at
        if not self._is_named and silent_s > self._options.start_timeout_s + _TO_SUBMIT_S:
            raise self._left(f"nobody has heard of its job for {silent_s:.0f} s")

    def _take(self, frames: FrameReader) -> None:
        try:
            said = frames.read()
        except BlockingIOError:
            return
        for told in map(told_of, said or ()):
            match told:
                case JobInfo():
                    self._job_id, self._is_named = told.id, True
                case Change():
                    if told.state is State.RUNNING and not self._has_started:
                        self._has_started, self._moved_at = True, self._clock()
                    self._state = told.state
                case Ending():
                    self._ending = told
                    continue
                case _:
                    pass
            self._on_job(told)

    @property
    def _where(self) -> str:
        return f"run {self._manifest.run}"

    def _left(self, what: str) -> JobLeftError:
        return JobLeftError(
            what, self._where, "the job may go on: run again, the next run finds it"
        )


def _raise(ending: Ending) -> NoReturn:
    kinds: dict[Kind, type[KlioError]] = {
        Kind.CONFIG: ConfigError,
        Kind.LEFT: JobLeftError,
        Kind.NO_JOB: NoJobError,
    }
    raise kinds.get(ending.kind, RunError)(ending.what, ending.where, ending.fix or _FIX)
