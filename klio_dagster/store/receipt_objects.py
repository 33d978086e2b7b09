"""Receipts in a bucket: an object a flush, since nothing can be appended there.

<receipts prefix><writer>-<sequence>.jsonl: written once, whole, and never again.
"""

import time
from collections.abc import Callable, Iterator
from threading import Condition, Thread
from uuid import uuid4

from klio_dagster.core.fold import read_lines
from klio_dagster.core.receipt import Receipt
from klio_dagster.errors import KlioError, ObjectNotFoundError
from klio_dagster.store.layout import receipts_prefix
from klio_dagster.store.objects import ObjectStore

FLUSH_EVERY_S = 2.0
FLUSH_AT = 200
_FLUSH_AT_BYTES = 4 << 20  # receipts with pictures are large
_LOOK_EVERY_S = 1.0
_SUFFIX = ".jsonl"


class ReceiptObjects:
    """Takes receipts and writes them as objects, from a thread of its own. Close it when done.

    What a store that does not answer is not told is kept and counts as not written; the error comes
    out of the next call.

    Args:
        store: where they go; it may wait until the run is confirmed.
        work_id: the work they belong to.
        every_s: how long a receipt waits for others, in seconds.
        at: so many do not wait any longer.
    """

    def __init__(
        self,
        store: ObjectStore,
        work_id: str,
        *,
        every_s: float = FLUSH_EVERY_S,
        at: int = FLUSH_AT,
    ) -> None:
        self._store = store
        # Another supervisor of the same run, in another container, may have our process's id.
        self._name = f"{receipts_prefix(work_id)}{uuid4().hex[:12]}"
        self._every_s, self._at = every_s, at
        self._lines: list[bytes] = []
        self._bytes = 0
        self._oldest = 0.0
        self._added = self._durable = self._objects = 0
        self._asked = 0
        self._is_closing = False
        self._error: BaseException | None = None
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="klio-receipts", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> None:
        """Take a receipt's line; it is durable two seconds later, or after `flush`.

        Raises:
            KlioError: those before could not be written.
        """
        with self._changed:
            self._raise_if_broken()
            if not self._lines:
                self._oldest = time.monotonic()
            self._lines.append(line)
            self._bytes += len(line)
            self._added += 1
            if len(self._lines) == 1 or self._is_full:
                self._changed.notify_all()

    def flush(self) -> None:
        """Return when everything added before is durable.

        Raises:
            KlioError: it could not be written.
        """
        with self._changed:
            wanted = self._asked = self._added
            self._changed.notify_all()
            while self._durable < wanted and self._error is None:
                self._changed.wait()
            self._raise_if_broken()

    def close(self) -> None:
        """Write what is left, if that is possible, and end the thread."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def _is_full(self) -> bool:
        return len(self._lines) >= self._at or self._bytes >= _FLUSH_AT_BYTES

    def _raise_if_broken(self) -> None:
        if isinstance(self._error, KlioError):
            raise type(self._error)(*self._error.args) from self._error
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while lines := self._next():
                self._store.put(f"{self._name}-{self._objects:06}{_SUFFIX}", b"".join(lines))
                self._objects += 1
                with self._changed:
                    self._durable += len(lines)
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - handed to whoever adds or flushes
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next(self) -> list[bytes]:
        """The lines of the next object, once it is due; none at the end."""
        with self._changed:
            while not self._is_due:
                if self._is_closing and not self._lines:
                    return []
                left = self._oldest + self._every_s - time.monotonic() if self._lines else None
                self._changed.wait(left)
            lines, self._lines, self._bytes = self._lines, [], 0
            return lines

    @property
    def _is_due(self) -> bool:
        if not self._lines:
            return False
        is_asked = self._durable < self._asked or self._is_closing
        return is_asked or self._is_full or time.monotonic() >= self._oldest + self._every_s


class ObjectTail:
    """Follows the receipts of a run by the names that are new; each object is read once.

    Args:
        store: a bucket.
        work_id: the work to follow.
        clock: seconds.
    """

    def __init__(
        self, store: ObjectStore, work_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._work_id = work_id
        self._clock = clock
        self._read: set[str] = set()
        self._looked_at = float("-inf")

    @property
    def is_due(self) -> bool:
        """A second has passed since the last look: each is a request."""
        return self._clock() - self._looked_at >= _LOOK_EVERY_S

    def new(self) -> Iterator[list[Receipt]]:
        """What was written since the last call, an object at a time."""
        self._looked_at = self._clock()
        for path in object_parts(self._store, self._work_id):
            if path in self._read:
                continue
            try:
                receipts = read_lines(self._store.get(path)).receipts
            except ObjectNotFoundError:  # compacted since it was listed: the ledger has it
                continue
            self._read.add(path)
            if receipts:
                yield receipts


def object_parts(store: ObjectStore, work_id: str, beginning: str = "") -> list[str]:
    """Paths of the objects that receipts of a work lie in, in order.

    Args:
        store: a bucket.
        work_id: whose they are.
        beginning: of their names.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    prefix = receipts_prefix(work_id)
    found = [info.path for info in store.list(prefix) if info.path.endswith(_SUFFIX)]
    return sorted(path for path in found if path.startswith(f"{prefix}{beginning}"))
