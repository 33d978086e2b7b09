"""`MemoryStore`: a store that is gone with the process, for tests and examples."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from klio_dagster.errors import ObjectNotFoundError
from klio_dagster.store.objects import ObjectInfo, ObjectStore, TimeLeft, check_path, check_prefix
from klio_dagster.store.store import Store


class MemoryStore:
    """Objects in a dictionary; the whole of `ObjectStore`.

    Args:
        clock: what `modified` is taken from, in seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[bytes, ObjectInfo]] = {}
        self._writes = 0
        self._lock = Lock()

    @property
    def url(self) -> str:
        """`memory://`; another store opened with it is another store."""
        return "memory://"

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object.

        Raises:
            ConfigError: the path leaves the store.
        """
        key = check_path(path)
        with self._lock:
            self._write(key, data)

    def put_within(self, path: str, data: bytes, left_s: TimeLeft) -> None:
        """Write or replace an object; that takes no time.

        Raises:
            ConfigError: the path leaves the store.
        """
        left_s()
        self.put(path, data)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write the object unless there is one; of many writers exactly one gets True.

        Raises:
            ConfigError: the path leaves the store.
        """
        key = check_path(path)
        with self._lock:
            if key in self._objects:
                return False
            self._write(key, data)
            return True

    def get(self, path: str) -> bytes:
        """The bytes of an object.

        Raises:
            ConfigError: the path leaves the store.
            ObjectNotFoundError: there is no such object.
        """
        return self._find(path)[0]

    def pieces(self, path: str) -> Iterator[bytes]:
        """The bytes of an object, at once.

        Raises:
            ConfigError: the path leaves the store.
            ObjectNotFoundError: there is no such object.
        """
        yield self.get(path)

    def get_or_none(self, path: str) -> bytes | None:
        """The bytes of an object, or None if there is none.

        Raises:
            ConfigError: the path leaves the store.
        """
        found = self._objects.get(check_path(path))
        return None if found is None else found[0]

    def head(self, path: str) -> ObjectInfo:
        """Size and versions of an object.

        Raises:
            ConfigError: the path leaves the store.
            ObjectNotFoundError: there is no such object.
        """
        return self._find(path)[1]

    def exists(self, path: str) -> bool:
        """Whether there is such an object.

        Raises:
            ConfigError: the path leaves the store.
        """
        return check_path(path) in self._objects

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects in a folder and below it.

        Raises:
            ConfigError: the folder leaves the store.
        """
        folder = check_prefix(prefix)
        with self._lock:
            infos = [info for _, info in self._objects.values()]
        yield from (i for i in infos if not folder or i.path.startswith(folder + "/"))

    def delete(self, path: str) -> None:
        """Remove an object; a missing one is fine.

        Raises:
            ConfigError: the path leaves the store.
        """
        with self._lock:
            self._objects.pop(check_path(path), None)

    def delete_many(self, paths: Iterable[str]) -> None:
        """Remove objects; missing ones are fine.

        Raises:
            ConfigError: a path leaves the store.
        """
        for path in paths:
            self.delete(path)

    def uri(self, path: str) -> str:
        """A name for people; nothing can be opened with it."""
        return self.url + path

    def local_path(self, path: str) -> Path | None:
        """None: nothing is on the disk.

        Raises:
            ConfigError: the path leaves the store.
        """
        check_prefix(path)
        return None

    def _write(self, key: str, data: bytes) -> None:
        self._writes += 1
        modified = datetime.fromtimestamp(self._clock(), UTC)
        self._objects[key] = data, ObjectInfo(key, len(data), modified, str(self._writes))

    def _find(self, path: str) -> tuple[bytes, ObjectInfo]:
        try:
            return self._objects[check_path(path)]
        except KeyError:
            raise ObjectNotFoundError(
                "there is no such object", f"store {self.uri(path)}", "check that it was written"
            ) from None

    def elsewhere(self, url: str) -> ObjectStore:
        """The store at another location.

        Raises:
            ConfigError: the URL is wrong.
        """
        return Store.open(url)
