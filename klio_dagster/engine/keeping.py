"""How receipts become durable: from a worker's own file, or through its supervisor.

On this machine each worker appends to its part file. In a bucket nothing can be appended, and an
object a receipt would cost a round trip each: a worker hands its receipts to its supervisor, which
writes many as one object. What a worker that died has finished, its supervisor knows.
(docs/adr/0020-receipts-go-through-the-supervisor.md)
"""

from typing import Protocol

from klio_dagster.core.receipt import Receipt
from klio_dagster.store.confirmed import ConfirmedStore
from klio_dagster.store.objects import TimeLeft
from klio_dagster.store.receipt_objects import ReceiptObjects
from klio_dagster.store.receipts import ReceiptPart, part_receipts
from klio_dagster.store.store import Store

_SUPERVISOR = "supervisor"


class Receipts(Protocol):
    """The receipts of a supervisor and its workers."""

    def write(self, receipt: Receipt) -> None:
        """Take one of the supervisor's own."""
        ...

    def take(self, line: bytes) -> None:
        """Take one that a worker hands over."""
        ...

    def written_by(self, writer: str) -> list[Receipt]:
        """Those that a worker, by name, has made durable itself."""
        ...

    def flush(self) -> None:
        """Return when all that were taken are durable."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


def receipts_of(store: Store, work_id: str, confirm: TimeLeft) -> Receipts:
    """How a supervisor keeps the receipts of a work in this store.

    Args:
        store: of the work's outputs.
        work_id: the work.
        confirm: returns when something may be written, and how soon.

    Raises:
        ConfigError: a local store cannot be written to.
    """
    if writes_itself(store):
        return ReceiptFiles(store, work_id)
    return ReceiptBuffer(ReceiptObjects(ConfirmedStore(store, confirm), work_id))


def writes_itself(store: Store) -> bool:
    """A worker makes its receipts durable, and hands none over."""
    return store.local_path("") is not None


class ReceiptFiles:
    """Receipts of a local store: every process appends to a file of its own.

    Args:
        store: a local one.
        work_id: the work.

    Raises:
        ConfigError: the store cannot be written to.
    """

    def __init__(self, store: Store, work_id: str) -> None:
        self._store, self._work_id = store, work_id
        self._part = ReceiptPart(store, work_id, _SUPERVISOR)

    def write(self, receipt: Receipt) -> None:
        """Append one; durable on return.

        Raises:
            StoreUnavailableError: the line could not be written whole.
        """
        self._part.write(receipt)

    def take(self, line: bytes) -> None:
        """Never asked for: workers write themselves.

        Raises:
            ValueError: it was.
        """
        raise ValueError(f"a worker handed over what it was to write itself: {line[:80]!r}")

    def written_by(self, writer: str) -> list[Receipt]:
        """What stands in a worker's file."""
        return part_receipts(self._store, self._work_id, writer)

    def flush(self) -> None:
        """Everything is durable already."""

    def close(self) -> None:
        """Give the supervisor's file back."""
        self._part.close()


class ReceiptBuffer:
    """Receipts of a bucket: held for two seconds at most, and written together.

    Args:
        objects: writes them.
    """

    def __init__(self, objects: ReceiptObjects) -> None:
        self._objects = objects

    def write(self, receipt: Receipt) -> None:
        """Take one; durable after `flush`.

        Raises:
            KlioError: those before could not be written.
        """
        self._objects.add(receipt.to_line())

    def take(self, line: bytes) -> None:
        """Take one; durable after `flush`.

        Raises:
            KlioError: those before could not be written.
        """
        self._objects.add(line)

    def written_by(self, writer: str) -> list[Receipt]:  # noqa: ARG002 - the protocol's
        """Nothing: workers hand everything over."""
        return []

    def flush(self) -> None:
        """Return when all that were taken are durable.

        Raises:
            KlioError: they could not be written.
        """
        self._objects.flush()

    def close(self) -> None:
        """Write what is left."""
        self._objects.close()
