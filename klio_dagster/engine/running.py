"""The running pool of a manifest in this process, started once however often it is asked for."""

import sys

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.clock import clock_of
from klio_dagster.engine.keeping import receipts_of
from klio_dagster.engine.opened import opened_store
from klio_dagster.engine.options import local_options
from klio_dagster.engine.pool import SupervisedPool
from klio_dagster.engine.process import WorkerProcess
from klio_dagster.store.objects import TimeLeft


class RunningPool:
    """The pool of one manifest with the receipts its supervisor keeps.

    Args:
        manifest: the run's head.
        confirm: returns when the run is known to hold its claim still.

    Raises:
        ConfigError: the engine's options are wrong, or the store cannot be written to.
    """

    def __init__(self, manifest: Manifest, confirm: TimeLeft) -> None:
        self._receipts = receipts_of(opened_store(manifest.store), manifest.run, confirm)
        self.pool = SupervisedPool(
            manifest,
            local_options(manifest.engine).workers,
            receipts=self._receipts,
            show=_show,
            clock=clock_of(manifest),
            spare=[_spare.pop() for _ in range(len(_spare))],
        )

    def close(self) -> None:
        """End the workers."""
        self.pool.close()
        self._receipts.close()


# A DoFn arrives pickled and cannot carry a pool; it finds the one of its process by the run's id.
# The driver starts it before it imports Beam, since both take about as long.
_pools: dict[str, RunningPool] = {}
_spare: list[WorkerProcess] = []


def running_pool(manifest: Manifest, confirm: TimeLeft = lambda: None) -> RunningPool:
    """The pool of a manifest in this process, started by the first who asks.

    Args:
        manifest: the run's head.
        confirm: returns when the run is known to hold its claim still; of the first who asks.

    Raises:
        ConfigError: the engine's options are wrong, or the store cannot be written to.
    """
    if manifest.run not in _pools:
        _pools[manifest.run] = RunningPool(manifest, confirm)
    return _pools[manifest.run]


def keep_spare_workers(number: int) -> None:
    """Start workers that wait for the manifest of this process."""
    _spare.extend(WorkerProcess.spawn(_show) for _ in range(number))


def close_pools() -> None:
    """End the workers of every pool of this process."""
    while _pools:
        _pools.popitem()[1].close()


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
