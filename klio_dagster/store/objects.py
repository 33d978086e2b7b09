"""What every store answers: the protocol, what a listing tells, and which paths are accepted."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from klio_dagster.errors import ConfigError

TimeLeft = Callable[[], float | None]
"""Seconds in which something is to be written, or never; None where it has time. May wait."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ObjectInfo(NamedTuple):
    """One object of a listing.

    Args:
        path: relative to the store, joined by `/`.
        size: in bytes.
        modified: by the store's clock, in UTC.
        etag: the store's own version of the content; None for local files.
    """

    path: str
    size: int
    modified: datetime
    etag: str | None = None

    @property
    def version(self) -> str:
        """Changes when the content does: the etag, otherwise size and time in microseconds."""
        if self.etag is not None:
            return self.etag
        return f"{self.size}-{(self.modified - _EPOCH) // timedelta(microseconds=1)}"


class ObjectStore(Protocol):
    """A flat set of named byte strings. `Store` and `MemoryStore` are the two we have.

    Paths are relative, joined by `/`; `..`, absolute paths and empty parts raise `ConfigError`.
    Every other failure is a `StoreUnavailableError`, or a `ConfigError` if trying again cannot
    help.
    """

    @property
    def url(self) -> str:
        """Where the store is, without credentials; opens it again."""
        ...

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object. Atomic: others see all of the bytes or none."""
        ...

    def put_within(self, path: str, data: bytes, left_s: TimeLeft) -> None:
        """Write or replace an object that is seen in time or never; asked right before that."""
        ...

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write the object unless there is one; of many writers exactly one gets True."""
        ...

    def get(self, path: str) -> bytes:
        """The bytes of an object; `ObjectNotFoundError` if there is none."""
        ...

    def pieces(self, path: str) -> Iterator[bytes]:
        """The bytes of an object, some megabytes at a time, all of one version."""
        ...

    def get_or_none(self, path: str) -> bytes | None:
        """The bytes of an object, or None if there is none."""
        ...

    def head(self, path: str) -> ObjectInfo:
        """Size and versions of an object; `ObjectNotFoundError` if there is none."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects in a folder and below it, lazily, in no particular order.

        Args:
            prefix: a folder, `mel/`, or everything. A folder that is not there is empty.
        """
        ...

    def delete(self, path: str) -> None:
        """Remove an object; a missing one is fine."""
        ...

    def delete_many(self, paths: Iterable[str]) -> None:
        """Remove objects; missing ones are fine."""
        ...

    def uri(self, path: str) -> str:
        """The full location of an object, for people and other programs."""
        ...

    def local_path(self, path: str) -> Path | None:
        """The file or folder a path is (the store's own for ``), or None if not on this machine."""
        ...

    def elsewhere(self, url: str) -> "ObjectStore":
        """The store at another location, with what this one knows of credentials."""
        ...


def check_path(path: str) -> str:
    """The path itself if it stays inside the store.

    Raises:
        ConfigError: it is empty, absolute, or has an empty, `.` or `..` part.
    """
    # The whole string is looked at first because this runs for every object touched.
    if not path or path[0] == "/" or path[-1] == "/" or "//" in path or "\0" in path:
        raise _refused(path)
    if "." in path and not {".", ".."}.isdisjoint(path.split("/")):
        raise _refused(path)
    return path


def check_prefix(prefix: str) -> str:
    """The folder without its last slash, `` for the whole store.

    Raises:
        ConfigError: it does not stay inside the store.
    """
    folder = prefix.removesuffix("/")
    return check_path(folder) if folder else ""


def _refused(path: str) -> ConfigError:
    return ConfigError(
        "the path does not stay inside the store",
        where=f"path {path!r}",
        fix="use a relative path without empty, '.' or '..' parts",
    )
