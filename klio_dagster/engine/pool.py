"""Supervised worker processes: what one entity does to its worker concerns no other entity.

One thread, the supervisor, owns the workers: it starts them, hands out tasks, and sees to the
ones that die or take too long. Callers only put tasks in and wait.
"""

import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable

from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.engine.chain import blocked_by, failed_receipt
from klio_dagster.engine.guardian import Guardian
from klio_dagster.engine.process import Computing, Show, WorkerProcess
from klio_dagster.errors import RunError

_AHEAD = 2  # tasks at a worker: one it computes, one that waits in its pipe
_MOST_BAD_STARTS = 3
_MOST_UNEXPLAINED_DEATHS = 3  # of workers that had an entity but had begun nothing of it
_LONGEST_WAIT_S = 1.0


class SupervisedPool:
    """Worker processes that compute the tasks of one manifest.

    Args:
        manifest: the run's head.
        size: worker processes, >= 1.
        write: makes a receipt durable, for what dead workers leave behind.
        finished: the receipts that a worker, by name, has written so far.
        show: takes what user code prints.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        manifest: Manifest,
        size: int,
        *,
        write: Callable[[Receipt], None],
        finished: Callable[[str], list[Receipt]],
        show: Show,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._manifest = manifest
        self._head = manifest.to_json()
        self._chain = {part.name: part for part in manifest.chain}
        self._size = size
        self._write = write
        self._finished = finished
        self._show = show
        self._clock = clock
        self._window = threading.Semaphore(_AHEAD * size + 2)
        self._changed = threading.Condition()
        self._waiting: deque[Task] = deque()
        self._in_flight = 0
        self._closing = False
        self._broken: BaseException | None = None
        self._workers: list[WorkerProcess] = []
        self._started = 0
        self._bad_starts = 0
        self._deaths: dict[str, int] = {}
        self._wake_read, self._wake_write = os.pipe()
        self._guardian = Guardian()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    def submit(self, task: Task) -> None:
        """Take a task; blocks while 2 n + 2 are under way.

        Raises:
            RunError: no worker can be started.
        """
        while not self._window.acquire(timeout=_LONGEST_WAIT_S):
            self._raise_if_broken()
        with self._changed:
            self._raise_if_broken()
            self._waiting.append(task)
            self._in_flight += 1
        os.write(self._wake_write, b"\0")

    def drain(self) -> None:
        """Wait until everything submitted has its receipts.

        Raises:
            RunError: no worker can be started.
        """
        with self._changed:
            while self._in_flight and not self._broken:
                self._changed.wait(_LONGEST_WAIT_S)
            self._raise_if_broken()

    def close(self) -> None:
        """End the workers."""
        self._closing = True
        os.write(self._wake_write, b"\0")
        self._supervisor.join()
        self._guardian.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _raise_if_broken(self) -> None:
        if self._broken:
            raise RunError(
                f"the worker pool stopped ({self._broken})",
                where=f"run {self._manifest.run}",
                fix="read the lines above, mend the cause and run again: what is done stays done",
            ) from self._broken

    def _supervise(self) -> None:
        try:
            for _ in range(self._size):
                self._workers.append(self._start())
            while not self._closing:
                self._hand_out()
                self._wait()
        except BaseException as error:  # noqa: BLE001 - handed to whoever submits or drains
            with self._changed:
                self._broken = error
                self._changed.notify_all()
        finally:
            for worker in self._workers:
                worker.close()

    def _start(self) -> WorkerProcess:
        self._started += 1
        name = f"{os.getpid()}-{self._started:04}"
        worker = WorkerProcess.start(name, self._head, self._show)
        self._guardian.watch(worker.process.pid)
        self._selector.register(worker.frames.pipe, selectors.EVENT_READ, worker)
        return worker

    def _hand_out(self) -> None:
        """Tasks to the least busy workers, so that one slow entity holds up at most one other."""
        while True:
            worker = min(self._workers, key=lambda w: len(w.tasks))
            with self._changed:
                if len(worker.tasks) >= _AHEAD or not self._waiting:
                    return
                task = self._waiting.popleft()
            worker.give(task)

    def _wait(self) -> None:
        """Until a worker says something, is late, or a task comes in."""
        now = time.monotonic()
        deadlines = [w.computing.deadline for w in self._workers if w.computing]
        timeout = min([_LONGEST_WAIT_S, *(max(0.0, d - now) for d in deadlines)])
        events = self._selector.select(timeout)
        for key, _ in events:
            if key.data is None:
                os.read(self._wake_read, 4096)
            else:
                self._listen(key.data)
        for worker in list(self._workers):
            self._look_at(worker)

    def _look_at(self, worker: WorkerProcess) -> None:
        """See what no pipe tells: a death whose pipes a child holds open, and lateness."""
        if worker not in self._workers:
            return
        has_ended = worker.has_ended()
        if (has_ended or worker.is_late(time.monotonic())) and worker.has_said():
            self._listen(worker)  # it may have gone on since: what it said counts first
        elif has_ended:
            self._bury(worker)
        elif worker.is_late(time.monotonic()):
            worker.timed_out = worker.computing
            worker.was_killed = True
            worker.kill()  # its death is seen in the next round

    def _listen(self, worker: WorkerProcess) -> None:
        before, was_ready = len(worker.tasks), worker.is_ready
        is_alive = worker.read(time.monotonic())
        if worker.is_ready and not was_ready:
            self._bad_starts = 0
        self._release(before - len(worker.tasks))
        if not is_alive:
            self._bury(worker)

    def _release(self, tasks: int) -> None:
        if tasks:
            with self._changed:
                self._in_flight -= tasks
                self._changed.notify_all()
            self._window.release(tasks)

    def _bury(self, worker: WorkerProcess) -> None:
        """Fail what a dead worker was computing, keep what it finished, go on with the rest.

        Raises:
            RunError: workers die at their start.
        """
        self._selector.unregister(worker.frames.pipe)
        worker.kill()
        failure = worker.cause_of_death()
        worker.close()
        self._workers.remove(worker)
        if not worker.is_ready:
            self._bad_starts += 1
            if self._bad_starts >= _MOST_BAD_STARTS:
                raise RunError(
                    f"{_MOST_BAD_STARTS} workers died at their start: {failure.message}",
                    where=f"run {self._manifest.run}",
                    fix="read what they printed",
                )
        lost = list(worker.tasks)
        if lost:
            rest = self._account(worker, lost[0], failure)
            with self._changed:
                self._waiting.extendleft(reversed([*rest, *lost[1:]]))
            self._release(1 - len(rest))
        self._workers.append(self._start())

    def _account(self, worker: WorkerProcess, task: Task, failure: Failure) -> list[Task]:
        """Receipts for what a worker died of; the rest of its task, if any is left."""
        written = {r.asset for r in self._finished(worker.name) if r.entity == task.entity}
        open_assets = [name for name in task.run if self._chain[name].key not in written]
        if not open_assets:
            return []
        computing = worker.timed_out or worker.computing
        culprit = computing.asset if computing and computing.asset in open_assets else None
        if worker.was_killed and worker.timed_out is None:
            culprit = None  # it had just finished what we killed it for: nobody is to blame
        elif culprit is None:
            deaths = self._deaths[task.entity] = self._deaths.get(task.entity, 0) + 1
            if not worker.is_ready or deaths < _MOST_UNEXPLAINED_DEATHS:
                return [task.without([name for name in task.run if name not in open_assets])]
            culprit = open_assets[0]
        if culprit is None:
            return [task.without([name for name in task.run if name not in open_assets])]
        self._fail(task, culprit, failure, computing)
        later = open_assets[open_assets.index(culprit) + 1 :]
        blocked = dict(blocked_by(culprit, self._chain, later))
        for name, cause in blocked.items():
            self._fail(task, name, Failure.blocked_by(f"'{cause}'"))
        left = [name for name in later if name not in blocked]
        return [task.without([name for name in task.run if name not in left])] if left else []

    def _fail(
        self, task: Task, name: str, failure: Failure, computing: Computing | None = None
    ) -> None:
        now = self._clock()
        started = now
        if computing and computing.asset == name:
            started -= time.monotonic() - computing.began
        part = self._chain[name]
        self._write(failed_receipt(self._manifest, task, part, failure, started, now))
