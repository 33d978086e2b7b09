"""Receipts in the store: written by workers, followed by the launcher, compacted once recorded.

A local store has one append-only JSON-lines file per writer. A receipt is durable from its one
`write()` on: a killed writer tears at most its last line, which readers leave out.
"""

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from klio_dagster.core.fold import read_lines
from klio_dagster.core.receipt import Receipt
from klio_dagster.errors import ConfigError, StoreUnavailableError
from klio_dagster.store.layout import compacted_receipts, receipts_prefix
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
        ConfigError: the store is not a local folder, or cannot be written to.
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
    """Follows the receipts of a run while they are written.

    Args:
        store: a local store.
        work_id: the work to follow.

    Raises:
        ConfigError: the store is not a local folder.
    """

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
    """Refuse a store that receipts cannot be written to, before anything is.

    Raises:
        ConfigError: it is not a local folder.
    """
    _folder(store, "check")


def part_receipts(store: Store, work_id: str, writer: str) -> list[Receipt]:
    """The receipts one writer has written so far; none if it has no file."""
    path = _folder(store, work_id) / f"{writer}{_SUFFIX}"
    return read_lines(path.read_bytes()).receipts if path.exists() else []


def compact(store: Store, work_id: str) -> None:
    """Replace a recorded run's parts by one compressed object, which no plan reads.

    A kill in between leaves parts beside the object; they go with the next compaction.

    Raises:
        ConfigError: the store is not a local folder.
        StoreUnavailableError: the object cannot be written.
    """
    folder = _folder(store, work_id)
    names = list(_parts(folder))
    if not names:
        return
    # What was compacted before stays in front: gzip files one after another are one.
    packed = io.BytesIO(store.get_or_none(compacted_receipts(work_id)) or b"")
    packed.seek(0, io.SEEK_END)
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as archive:
        for name in names:
            # A run that settles the same dead one may have been faster.
            with suppress(FileNotFoundError), (folder / name).open("rb") as part:
                for line in part:
                    if line.endswith(b"\n"):
                        archive.write(line)
    store.put(compacted_receipts(work_id), packed.getvalue())
    for name in names:
        (folder / name).unlink(missing_ok=True)


def compacted(store: Store, work_id: str) -> list[Receipt]:
    """The receipts of a recorded run, for people and tests; empty if it has none."""
    data = store.get_or_none(compacted_receipts(work_id))
    return read_lines(gzip.decompress(data)).receipts if data else []


def _folder(store: Store, work_id: str) -> Path:
    folder = store.local_path(receipts_prefix(work_id).rstrip("/"))
    if folder is None:
        raise ConfigError(
            "receipts are written to local folders only in this version",
            where=f"store '{store.url}'",
            fix="use a store on a local or mounted disk",
        )
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
