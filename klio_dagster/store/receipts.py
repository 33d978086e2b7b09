"""Receipts in the store: written as a run goes on, followed by its launcher, compacted after.

A local store has one append-only JSON-lines file per writer. A receipt is durable from its one
`write()` on: a killed writer tears at most its last line, which readers leave out. A bucket has one
object per flush (`store.receipt_objects`); those are never torn.
"""

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from klio_dagster.core.fold import read_lines
from klio_dagster.core.receipt import Receipt
from klio_dagster.errors import ConfigError, ObjectNotFoundError, StoreUnavailableError
from klio_dagster.store.layout import compacted_receipts, receipts_prefix
from klio_dagster.store.receipt_objects import ObjectTail, object_parts
from klio_dagster.store.store import Store

_SUFFIX = ".jsonl"
_READ_AT_ONCE = 1 << 20  # bytes; bounds what a slow launcher holds of a fast run


class ReceiptPart:
    """One writer's part file, opened for appending; close it when done.

    Args:
        store: a local store.
        work_id: the work the receipts belong to.
        writer: unique among the run's writers; names the file.

    Raises:
        ConfigError: the store cannot be written to.
    """

    def __init__(self, store: Store, work_id: str, writer: str) -> None:
        path = _folder(store, work_id) / f"{writer}{_SUFFIX}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigError(
                f"receipts cannot be written ({error.strerror})",
                where=str(path),
                fix="make the store's folder writable",
            ) from error
        self._where = str(path)

    def write(self, receipt: Receipt) -> None:
        """Append one receipt; it is durable on return, whatever happens to this process.

        Raises:
            StoreUnavailableError: the line could not be written whole.
        """
        line = receipt.to_line()
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise StoreUnavailableError(
                f"a receipt cannot be written ({error.strerror})",
                where=self._where,
                fix="free space on the disk, then run again",
            ) from error
        if written < len(line):
            raise StoreUnavailableError(
                "a receipt was cut short", where=self._where, fix="free space on the disk"
            )

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


class ReceiptTail:
    """Follows the receipts of a run while they are written, wherever its store is.

    Args:
        store: of the run.
        work_id: the work to follow.
    """

    def __init__(self, store: Store, work_id: str) -> None:
        is_local = store.local_path("") is not None
        self._tail = FileTail(store, work_id) if is_local else ObjectTail(store, work_id)

    @property
    def is_due(self) -> bool:
        """Enough time has passed to look again before the run has ended."""
        return self._tail.is_due

    def new(self) -> Iterator[list[Receipt]]:
        """What was written since the last call, a bounded list at a time.

        Raises:
            ConfigError: the store does not let us read.
            StoreUnavailableError: it did not answer; what was not given yet comes with the next.
        """
        return self._tail.new()


class FileTail:
    """Follows part files while they grow.

    Args:
        store: a local store.
        work_id: the work to follow.
    """

    is_due = True

    def __init__(self, store: Store, work_id: str) -> None:
        self._folder = _folder(store, work_id)
        self._read: dict[str, int] = {}

    def new(self) -> Iterator[list[Receipt]]:
        """What was written since the last call, a bounded list at a time."""
        for name, size in _parts(self._folder).items():
            if size <= self._read.get(name, 0):
                continue
            try:
                part = (self._folder / name).open("rb")
            except FileNotFoundError:  # compacted since it was listed: the ledger has it
                continue
            with part:
                part.seek(self._read.get(name, 0))
                rest = b""
                while data := part.read(_READ_AT_ONCE):
                    receipts, unread = read_lines(rest + data)
                    rest = (rest + data)[-unread:] if unread else b""
                    self._read[name] = part.tell() - unread
                    if receipts:
                        yield receipts


def check_store(store: Store) -> None:
    """Refuse a store that other processes cannot see, before anything is done.

    Raises:
        ConfigError: it is in this process's memory.
    """
    if store.url.startswith("memory:"):
        raise ConfigError(
            "it is in the memory of one process, and workers are others",
            where=f"store '{store.url}'",
            fix="use a folder or a bucket",
        )


def part_receipts(store: Store, work_id: str, writer: str) -> list[Receipt]:
    """The receipts one writer has written to the store so far; none if it has no part."""
    if store.local_path("") is None:
        paths = object_parts(store, work_id, f"{writer}-")
        data = b"".join(store.get_or_none(path) or b"" for path in paths)
        return read_lines(data).receipts
    path = _folder(store, work_id) / f"{writer}{_SUFFIX}"
    return read_lines(path.read_bytes()).receipts if path.exists() else []


def compact(store: Store, work_id: str) -> None:
    """Replace a recorded run's parts by one compressed object, which no plan reads.

    A kill in between leaves parts beside the object; they go with the next compaction.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: the object cannot be written.
    """
    names = _names(store, work_id)
    if not names:
        return
    # What was compacted before stays in front: gzip files one after another are one.
    packed = io.BytesIO(store.get_or_none(compacted_receipts(work_id)) or b"")
    packed.seek(0, io.SEEK_END)
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as archive:
        for name in names:
            for line in _lines(store, work_id, name):
                if line.endswith(b"\n"):
                    archive.write(line)
    store.put(compacted_receipts(work_id), packed.getvalue())
    store.delete_many(f"{receipts_prefix(work_id)}{name}" for name in names)


def compacted(store: Store, work_id: str) -> list[Receipt]:
    """The receipts of a recorded run, for people and tests; empty if it has none."""
    data = store.get_or_none(compacted_receipts(work_id))
    return read_lines(gzip.decompress(data)).receipts if data else []


def _names(store: Store, work_id: str) -> list[str]:
    if store.local_path("") is None:
        return [path.rpartition("/")[2] for path in object_parts(store, work_id)]
    return list(_parts(_folder(store, work_id)))


def _lines(store: Store, work_id: str, name: str) -> Iterator[bytes]:
    """The lines of a part; none if a run that settles the same dead one was faster."""
    if store.local_path("") is None:
        with suppress(ObjectNotFoundError):
            yield from store.get(f"{receipts_prefix(work_id)}{name}").splitlines(keepends=True)
        return
    with suppress(FileNotFoundError), (_folder(store, work_id) / name).open("rb") as part:
        yield from part


def _folder(store: Store, work_id: str) -> Path:
    folder = store.local_path(receipts_prefix(work_id).rstrip("/"))
    assert folder is not None
    return folder


def _parts(folder: Path) -> dict[str, int]:
    """Name and size in bytes of each part, in order."""
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.endswith(_SUFFIX)]
    except (FileNotFoundError, NotADirectoryError):  # who writes the next receipt says so
        return {}
    sizes: dict[str, int] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        with suppress(FileNotFoundError):  # compacted meanwhile
            sizes[entry.name] = entry.stat().st_size
    return sizes
