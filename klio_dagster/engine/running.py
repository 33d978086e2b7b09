"""The running pool of a manifest in this process, started once however often it is asked for."""

import logging
import os
import sys
from dataclasses import replace
from threading import Lock

from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.engine.clock import clock_of
from klio_dagster.engine.finished import Finished
from klio_dagster.engine.keeping import receipts_of
from klio_dagster.engine.opened import opened_store
from klio_dagster.engine.options import engine_options, is_remote
from klio_dagster.engine.pool import SupervisedPool
from klio_dagster.engine.process import WorkerProcess
from klio_dagster.store.clock import passed_s, time_at
from klio_dagster.store.heartbeat import Confirmation
from klio_dagster.store.objects import TimeLeft

ENDED = 143  # as a shell reports SIGTERM
_LOOK_EVERY_S = 5.0

_log = logging.getLogger("klio_dagster")


class RunningPool:
    """The pool of one manifest with the receipts its supervisor keeps.

    Args:
        manifest: the run's head.

    Raises:
        ConfigError: the engine's options are wrong, or the store cannot be written to.
    """

    def __init__(self, manifest: Manifest) -> None:
        options = engine_options(manifest.engine)
        store = opened_store(manifest.store)
        if is_remote(manifest.engine):
            # The manifest's was looked at on another machine: once more, for all workers of this
            # process, so that all receipts of the run are by the store's clock.
            manifest = replace(manifest, clock=(time_at(store), passed_s()))
        clock = clock_of(manifest)
        self._receipts = receipts_of(store, manifest.run, _confirming(manifest))
        self._finished = Finished(store, manifest, clock) if is_remote(manifest.engine) else None
        self._looked_at = float("-inf")
        self._pool = SupervisedPool(
            manifest,
            options.workers,
            receipts=self._receipts,
            show=_log_lines if is_remote(manifest.engine) else _show,
            clock=clock,
            spare=[_spare.pop() for _ in range(len(_spare))],
        )

    def look(self) -> None:
        """See what is finished already, where tasks may come a second time; every few seconds.

        Raises:
            ConfigError: the store does not let us read.
            StoreUnavailableError: it did not answer.
        """
        now = passed_s()
        if self._finished is not None and now - self._looked_at > _LOOK_EVERY_S:
            self._finished.look()
            self._looked_at = now

    def submit(self, task: Task) -> None:
        """Have computed what is not finished of a task; blocks while many are under way.

        Raises:
            KlioError: receipts cannot be written.
            RunError: no worker can be started.
        """
        if self._finished is None:
            self._pool.submit(task)
            return
        left, failed = self._finished.left_of(task)
        for receipt in failed:
            self._receipts.write(receipt)
        for each in left:
            self._pool.submit(each)

    def drain(self) -> None:
        """Wait until all that was submitted has its receipts, and these are durable.

        Raises:
            KlioError: receipts cannot be written.
            RunError: no worker can be started.
        """
        self._pool.drain()

    def close(self) -> None:
        """End the workers."""
        self._pool.close()
        self._receipts.close()


# A DoFn arrives pickled and cannot carry a pool; it finds the one of its process by the run's id.
# The driver starts it before it imports Beam, since both take about as long.
_pools: dict[str, RunningPool] = {}
_spare: list[WorkerProcess] = []
_lock = Lock()  # a service has a process set several DoFns up at once


def running_pool(manifest: Manifest) -> RunningPool:
    """The pool of a manifest in this process, started by the first who asks.

    Args:
        manifest: the run's head.

    Raises:
        ConfigError: the engine's options are wrong, or the store cannot be written to.
    """
    with _lock:
        # A run may have several jobs, one after the other; a process may live through them.
        key = f"{manifest.run} {manifest.generation} {' '.join(manifest.parts)} {manifest.clock}"
        if key not in _pools:
            _pools[key] = RunningPool(manifest)
        return _pools[key]


def keep_spare_workers(number: int) -> None:
    """Start workers that wait for the manifest of this process."""
    _spare.extend(WorkerProcess.spawn(_show) for _ in range(number))


def close_pools() -> None:
    """End the workers of every pool of this process."""
    while _pools:
        _pools.popitem()[1].close()


def end_now() -> None:
    """End this process at once. The workers see their pipes close and end with their children."""
    os._exit(ENDED)


def _confirming(manifest: Manifest) -> TimeLeft:
    """What returns when the run is known to hold its claim still.

    Others may take over what it held; then nothing of this process may be written any more.
    """
    if not manifest.generation:
        return _confirm_nothing
    store = opened_store(manifest.store)
    confirmation = Confirmation(
        store, manifest.run, manifest.generation, needs_beats=not is_remote(manifest.engine)
    )
    confirmation.watch(on_lost=end_now)
    return confirmation.wait


def _confirm_nothing() -> None:
    """Nobody holds a claim: there is time."""


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _log_lines(text: str) -> None:
    """A service shows what is logged, and hardly ever what is printed."""
    for line in text.splitlines():
        if line.strip():
            _log.info(line)
