"""Supervised worker processes: what one entity does to its worker concerns no other entity.

One thread, the supervisor, owns the workers: it starts them, hands out tasks, and sees to the
ones that die or take too long. Callers only put tasks in and wait.
"""

import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.engine.aftermath import Aftermath, Death
from klio_dagster.engine.guardian import Guardian
from klio_dagster.engine.printed import note
from klio_dagster.engine.process import Group, Show, WorkerProcess
from klio_dagster.errors import KlioError, RunError

_AHEAD = 2  # groups of tasks at a worker: one it computes, one that waits in its pipe
_MOST_BAD_STARTS = 3
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
        spare: workers that were started before and wait for their manifest.
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
        spare: Sequence[WorkerProcess] = (),
    ) -> None:
        self._manifest = manifest
        self._spare = list(spare)
        self._head = manifest.to_json()
        self._chain = {part.name: part for part in manifest.chain}
        self._size = size
        self._write = write
        self._finished = finished
        self._show = show
        self._clock = clock
        # How many entities are computed together: what the asset with the largest batch takes.
        self._most_together = max([1, *(part.batch_size for part in manifest.chain)])
        self._window = threading.Semaphore((_AHEAD * size + 2) * self._most_together)
        self._changed = threading.Condition()
        self._waiting: deque[Task] = deque()
        self._in_flight = 0
        self._draining = 0
        self._closing = False
        self._broken: BaseException | None = None
        self._workers: list[WorkerProcess] = []
        self._started = 0
        self._bad_starts = 0
        self._wake_read, self._wake_write = os.pipe()
        self._guardian = Guardian()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    def submit(self, task: Task) -> None:
        """Take a task; blocks while 2 n + 2 are under way, or so many batches.

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
            self._draining += 1  # the last batch is not filled any more
        os.write(self._wake_write, b"\0")
        with self._changed:
            while self._in_flight and not self._broken:
                self._changed.wait(_LONGEST_WAIT_S)
            self._draining -= 1
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
        if isinstance(self._broken, KlioError):
            raise RunError(*self._broken.args) from self._broken
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
            for worker in (*self._workers, *self._spare):
                worker.close()

    def _start(self) -> WorkerProcess:
        self._started += 1
        name = f"{os.getpid()}-{self._started:04}"
        worker = self._spare.pop() if self._spare else WorkerProcess.spawn(self._show)
        worker.begin(name, self._head)
        self._guardian.watch(worker.process.pid)
        self._selector.register(worker.frames.pipe, selectors.EVENT_READ, worker)
        return worker

    def _hand_out(self) -> None:
        """Tasks to the least busy workers, so that one slow entity holds up at most one other."""
        while True:
            worker = min(self._workers, key=lambda w: len(w.groups))
            if len(worker.groups) >= _AHEAD:
                return
            with self._changed:
                group = self._next_group()
            if not group:
                return
            worker.give(group)

    def _next_group(self) -> Group:
        """Tasks to be computed together; none where there are none, or others will join them."""
        if not self._waiting:
            return ()
        first = self._waiting[0]
        size = 1
        if self._most_together > 1 and not first.tried:
            size = max(self._chain[name].batch_size for name in first.run)
        group: list[Task] = []
        for task in self._waiting:
            if len(group) == size or (group and task.tried):
                break
            group.append(task)
        # All that wait, and still not enough: a submitter that has not begun to drain has more.
        if len(group) < size and len(group) == len(self._waiting) and not self._draining:
            return ()
        for _ in group:
            self._waiting.popleft()
        return group

    def _wait(self) -> None:
        """Until a worker says something, is late, or a task comes in."""
        now = time.monotonic()
        waits = [_LONGEST_WAIT_S]
        for worker in self._workers:
            if worker.computing:
                waits.append(max(0.0, worker.computing.deadline - now))
                if self._chain[worker.computing.asset].memory is not None:
                    waits.append(worker.memory.due_in(now))
        events = self._selector.select(min(waits))
        for key, _ in events:
            if key.data is None:
                os.read(self._wake_read, 4096)
            else:
                self._listen(key.data)
        for worker in list(self._workers):
            self._look_at(worker)

    def _look_at(self, worker: WorkerProcess) -> None:
        """See what no pipe tells: a death whose pipes a child holds open, lateness, memory."""
        if worker not in self._workers:
            return
        now = time.monotonic()
        has_ended = worker.has_ended()
        if (has_ended or worker.is_late(now)) and worker.has_said():
            self._listen(worker)  # it may have gone on since: what it said counts first
        elif has_ended:
            self._bury(worker)
        elif worker.is_retiring:
            worker.kill()  # its death is seen in the next round, and so is that of the condemned
        elif not worker.condemn_if_late(now) and worker.computing:
            limit = self._chain[worker.computing.asset].memory
            if limit is not None:
                worker.condemn_if_over(limit, now)

    def _listen(self, worker: WorkerProcess) -> None:
        before, was_ready = list(worker.groups), worker.is_ready
        is_alive = worker.read(time.monotonic())
        if worker.is_ready and not was_ready:
            self._bad_starts = 0
        done = before[: len(before) - len(worker.groups)]
        self._release(sum(map(len, done)))
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
        self._guardian.forget(worker.process.pid)
        self._workers.remove(worker)
        if not worker.is_ready:
            self._bad_starts += 1
            if self._bad_starts >= _MOST_BAD_STARTS:
                raise RunError(
                    f"{_MOST_BAD_STARTS} workers died at their start: {failure.message}",
                    where=f"run {self._manifest.run}",
                    fix="read what they printed",
                )
        if worker.groups:
            self._account(worker, failure)
        self._workers.append(self._start())

    def _account(self, worker: WorkerProcess, failure: Failure) -> None:
        """Receipts for what a worker died of; its tasks, as far as they are left, wait again."""
        group, *others = worker.groups
        sentence = worker.sentence
        death = Death(
            failure=failure,
            computing=sentence.computing if sentence else worker.computing,
            # Killed by us for what it had just finished; or it died before it had begun anything.
            is_explained=worker.was_killed or not worker.is_ready,
            is_certain=sentence is None or sentence.is_certain,
            notes=note(worker.printed.total - worker.printed_before),
        )
        aftermath = Aftermath(self._manifest, death, self._clock())
        entities = {task.entity for task in group}
        aftermath.account(group, [r for r in self._finished(worker.name) if r.entity in entities])
        for receipt in aftermath.failed:
            self._write(receipt)
        with self._changed:
            waiting = [*aftermath.left, *(task for other in others for task in other)]
            self._waiting.extendleft(reversed(waiting))
        self._release(len(group) - len(aftermath.left))
