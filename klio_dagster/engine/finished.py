"""What a work has finished already, known to a process that is given its tasks a second time.

A service repeats what a process of it had before it died: Flink the whole job, Dataflow a bundle.
"""

from collections.abc import Callable, Sequence
from threading import Lock

from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.engine.aftermath import Aftermath, Death
from klio_dagster.store.receipts import ReceiptTail
from klio_dagster.store.store import Store

_GONE = Death(failure=Failure("WorkerExit", "its process has ended"), is_explained=True)


class Finished:
    """The receipts of a work, so far as they say what is left of its tasks.

    Args:
        store: of the work.
        manifest: its head.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, manifest: Manifest, clock: Callable[[], float]) -> None:
        self._manifest, self._clock = manifest, clock
        self._assets = {part.key for part in manifest.chain if not part.is_step}
        self._tail = ReceiptTail(store, manifest.run)
        self._by_entity: dict[str, list[Receipt]] = {}
        self._lock = Lock()

    def look(self) -> None:
        """Read what has come since the last time.

        Raises:
            ConfigError: the store does not let us read.
            StoreUnavailableError: it did not answer.
        """
        with self._lock:
            for receipts in self._tail.new():
                for receipt in receipts:
                    if receipt.asset not in self._assets:  # of an earlier job of the work
                        continue
                    self._by_entity.setdefault(receipt.entity, []).append(_slim(receipt))

    def left_of(self, task: Task) -> tuple[Sequence[Task], Sequence[Receipt]]:
        """What is to be computed of a task yet, if anything, and receipts of what cannot be."""
        known = self._by_entity.get(task.entity)
        if known is None:
            return (task,), ()
        aftermath = Aftermath(self._manifest, _GONE, self._clock())
        aftermath.account([task], known)
        return aftermath.left, aftermath.failed


def _slim(receipt: Receipt) -> Receipt:
    """Only what is asked of it: there may be as many as a process has memory for."""
    failure = receipt.failure and Failure(receipt.failure.type, receipt.failure.message)
    return Receipt(
        run=receipt.run,
        entity=receipt.entity,
        asset=receipt.asset,
        finished_at=receipt.finished_at,
        data_version=receipt.data_version,
        failure=failure,
    )
