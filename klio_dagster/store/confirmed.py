"""A store that is written to only while the run that writes is known to be alive."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from klio_dagster.store.objects import ObjectInfo, ObjectStore, TimeLeft


class ConfirmedStore:
    """Another store, each write to which is confirmed first.

    Args:
        store: what is read from and written to.
        confirm: returns when something may be written, and how soon; it may wait.
    """

    def __init__(self, store: ObjectStore, confirm: TimeLeft) -> None:
        self._store = store
        self._confirm = confirm

    @property
    def url(self) -> str:
        """Where the store is, without credentials."""
        return self._store.url

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object, once that is confirmed, and as long as it is."""
        self._store.put_within(path, data, self._confirm)

    def put_within(self, path: str, data: bytes, left_s: TimeLeft) -> None:
        """The same, if it is seen in time."""

        def least() -> float | None:
            told = (self._confirm(), left_s())
            return min((left for left in told if left is not None), default=None)

        self._store.put_within(path, data, least)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write the object unless there is one, once that is confirmed."""
        self._confirm()
        return self._store.put_if_absent(path, data)

    def get(self, path: str) -> bytes:
        """The bytes of an object."""
        return self._store.get(path)

    def pieces(self, path: str) -> Iterator[bytes]:
        """The bytes of an object, some megabytes at a time."""
        return self._store.pieces(path)

    def get_or_none(self, path: str) -> bytes | None:
        """The bytes of an object, or None if there is none."""
        return self._store.get_or_none(path)

    def head(self, path: str) -> ObjectInfo:
        """Size and versions of an object."""
        return self._store.head(path)

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        return self._store.exists(path)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects in a folder and below it."""
        return self._store.list(prefix)

    def delete(self, path: str) -> None:
        """Remove an object, once that is confirmed."""
        self._confirm()
        self._store.delete(path)

    def delete_many(self, paths: Iterable[str]) -> None:
        """Remove objects, once that is confirmed."""
        self._confirm()
        self._store.delete_many(paths)

    def uri(self, path: str) -> str:
        """The full location of an object."""
        return self._store.uri(path)

    def local_path(self, path: str) -> Path | None:
        """The file or folder a path is, or None if not on this machine."""
        return self._store.local_path(path)

    def elsewhere(self, url: str) -> ObjectStore:
        """The store at another location, which nobody confirms: it is only read."""
        return self._store.elsewhere(url)
