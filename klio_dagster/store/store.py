"""`Store`: one class over a local folder, Google Cloud Storage, S3 or Azure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import obstore
from obstore import exceptions
from obstore.store import GCSStore, LocalStore, MemoryStore, S3Store

from klio_dagster.errors import ConfigError, ObjectNotFoundError
from klio_dagster.store import local
from klio_dagster.store.access import Access
from klio_dagster.store.failures import STORE_ERRORS, store_error
from klio_dagster.store.listing import PAGE_NAMES, side_by_side
from klio_dagster.store.objects import ObjectInfo, TimeLeft, check_path, check_prefix
from klio_dagster.store.remote import (
    RemoteClient,
    head,
    list_pages,
    read_pieces,
    read_whole,
    remote_client,
)
from klio_dagster.store.url import StoreUrl

_DELETED_AT_ONCE = 1000  # what S3 takes per request


class Store:
    """Objects in a local folder or in a bucket; the whole of `ObjectStore`.

    Writing goes through obstore everywhere; a local folder is read by the operating system
    (`store.local` says why) and made by the first write. Threads may share a store; processes open
    their own.

    Args:
        location: the parsed URL.
        options: obstore's settings and credentials, over those that stood in the URL. Without any,
            the environment and the machine's identity count.
        access: options of other stores, and of this one where none are given.
    """

    def __init__(
        self,
        location: StoreUrl,
        options: Mapping[str, str] | None = None,
        access: Access | None = None,
    ) -> None:
        access = access or Access()
        self._location = location
        self._root = location.path
        self._options = {**location.options, **(options or access.of(location.text))}
        self._access = access.with_store(location.text, self._options)
        self._others: dict[str, Store] = {}

    @classmethod
    def open(
        cls,
        url: str,
        *,
        base: Path | None = None,
        options: Mapping[str, str] | None = None,
        access: Access | None = None,
    ) -> "Store":
        """The store at a URL or path. Nothing is written and nobody is asked yet.

        Args:
            url: a folder, `file://`, `gs://`, `s3://`, `az://` or `memory://` (empty, its own).
            base: folder that relative paths start from; the working directory if None.
            options: obstore's settings and credentials.
            access: options of other stores, and of this one where none are given.

        Raises:
            ConfigError: the URL or an option is wrong.
        """
        store = cls(StoreUrl.parse(url, base=base), options, access)
        if store._root is None:
            store._client  # noqa: B018  # wrong options are found now and not in a worker
        return store

    @property
    def url(self) -> str:
        """Where the store is, without credentials; opens it again."""
        return self._location.text

    @property
    def options(self) -> Mapping[str, str]:
        """Settings and credentials, those of the URL included. Never print them."""
        return self._options

    @property
    def access(self) -> Access:
        """What opens this store and others in another process."""
        return self._access

    def elsewhere(self, url: str) -> "Store":
        """The store at another location, opened once, with what this one knows of its options.

        Args:
            url: a folder or the URL of a bucket.

        Raises:
            ConfigError: the URL or an option is wrong.
        """
        if url not in self._others:
            self._others[url] = Store.open(url, access=self._access)
        return self._others[url]

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object. Atomic: others see all of the bytes or none.

        Raises:
            ConfigError: the path leaves the store, or the store does not let us write.
            StoreUnavailableError: it did not answer or is full.
        """
        key = check_path(path)
        try:
            obstore.put(self._client, key, data)
        except STORE_ERRORS as error:
            raise store_error(error, self.uri(key)) from error

    def put_within(self, path: str, data: bytes, left_s: TimeLeft) -> None:
        """Write or replace an object that others see in time, or never. Atomic like `put`.

        Args:
            path: of the object.
            data: its bytes.
            left_s: how long it may take to be seen; asked right before that.

        Raises:
            ConfigError: the path leaves the store, or the store does not let us write.
            StoreUnavailableError: it did not answer in time or is full.
        """
        client = self._client
        if isinstance(client, LocalStore | MemoryStore):
            left_s()
            self.put(path, data)
            return
        from klio_dagster.store.timely import put_in_time  # asyncio: 12 ms that others do not need

        key = check_path(path)
        try:
            put_in_time(client, key, data, left_s)
        except STORE_ERRORS as error:
            raise store_error(error, self.uri(key)) from error

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write the object unless there is one; of many writers exactly one gets True.

        Raises:
            ConfigError: the path leaves the store, or the store does not let us write.
            StoreUnavailableError: it did not answer or is full.
        """
        key = check_path(path)
        try:
            obstore.put(self._client, key, data, mode="create")
        except exceptions.AlreadyExistsError:
            return False
        except STORE_ERRORS as error:
            raise store_error(error, self.uri(key)) from error
        return True

    def get(self, path: str) -> bytes:
        """The bytes of an object.

        Raises:
            ObjectNotFoundError: there is none.
            ConfigError: the path leaves the store, or the store does not let us read.
            StoreUnavailableError: it did not answer.
        """
        key = check_path(path)
        try:
            if self._root is not None:
                return (self._root / key).read_bytes()
            return read_whole(self._client, key)
        except STORE_ERRORS as error:
            raise store_error(error, self.uri(key)) from error

    def pieces(self, path: str) -> Iterator[bytes]:
        """The bytes of an object, some megabytes at a time, all of one version.

        Raises:
            ObjectNotFoundError: there is none.
            ConfigError: the path leaves the store, or the store does not let us read.
            StoreUnavailableError: it did not answer, or the object is another one by now.
        """
        if self._root is not None:
            yield self.get(path)
            return
        key = check_path(path)
        try:
            yield from read_pieces(self._client, key)
        except STORE_ERRORS as error:
            raise store_error(error, self.uri(key)) from error

    def get_or_none(self, path: str) -> bytes | None:
        """The bytes of an object, or None if there is none.

        Raises:
            ConfigError: the path leaves the store, or the store does not let us read.
            StoreUnavailableError: it did not answer.
        """
        with suppress(ObjectNotFoundError):
            return self.get(path)
        return None

    def head(self, path: str) -> ObjectInfo:
        """Size and versions of an object.

        Raises:
            ObjectNotFoundError: there is none.
            ConfigError: the path leaves the store, or the store does not let us read.
            StoreUnavailableError: it did not answer.
        """
        key = check_path(path)
        try:
            if self._root is not None:
                return local.file_info(self._root, key)
            return _info(head(self._client, key))
        except STORE_ERRORS as error:
            raise store_error(error, self.uri(key)) from error

    def exists(self, path: str) -> bool:
        """Whether there is such an object.

        Raises:
            ConfigError: the path leaves the store, or the store does not let us read.
            StoreUnavailableError: it did not answer.
        """
        with suppress(ObjectNotFoundError):
            self.head(path)
            return True
        return False

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects in a folder and below it, lazily, in no particular order.

        Leftovers of killed writes are none of them.

        Args:
            prefix: a folder, `mel/`, or everything. A folder that is not there is empty.

        Raises:
            ConfigError: the folder leaves the store, or the store does not let us read.
            StoreUnavailableError: it did not answer.
        """
        folder = check_prefix(prefix)
        try:
            if self._root is not None:
                yield from local.files_below(self._root, folder)
                return
            if isinstance(self._client, GCSStore | S3Store):  # they tell names in order
                yield from side_by_side(partial(self.pages, folder), folder and f"{folder}/")
                return
            for page in self.pages(folder):
                yield from page
        except STORE_ERRORS as error:
            raise store_error(error, self.uri(folder)) from error

    def delete(self, path: str) -> None:
        """Remove an object; a missing one is fine.

        Raises:
            ConfigError: the path leaves the store, or the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        key = check_path(path)
        try:
            if self._root is not None:
                local.remove_file(self._root, key)
            else:
                obstore.delete(self._client, key)
        except FileNotFoundError:
            return
        except STORE_ERRORS as error:
            raise store_error(error, self.uri(key)) from error

    def delete_many(self, paths: Iterable[str]) -> None:
        """Remove objects; missing ones are fine.

        Raises:
            ConfigError: a path leaves the store, or the store does not let us write.
            StoreUnavailableError: it did not answer.
        """
        keys = map(check_path, paths)
        if self._root is not None:
            for key in keys:
                self.delete(key)
            return
        while batch := list(islice(keys, _DELETED_AT_ONCE)):
            try:
                obstore.delete(self._client, batch)
            except FileNotFoundError:  # it stops at the first that is missing
                for key in batch:
                    self.delete(key)
            except STORE_ERRORS as error:
                raise store_error(error, self.url) from error

    def uri(self, path: str) -> str:
        """The full location of an object: an absolute path, or `gs://bucket/…`."""
        if self._root is not None:
            return str(self._root / path)
        return f"{self.url.rstrip('/')}/{path}" if self.url != "memory://" else self.url + path

    def local_path(self, path: str) -> Path | None:
        """The file or folder a path is, or None if it is not on this machine.

        Args:
            path: of an object or a folder; the empty one is the store's own folder.

        Raises:
            ConfigError: the path leaves the store.
        """
        inside = check_prefix(path)
        return None if self._root is None else self._root / inside

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def pages(self, folder: str, after: str | None = None) -> Iterator[Sequence[ObjectInfo]]:
        """What lies below a folder of a bucket, a request each; only names behind `after`."""
        for page in list_pages(self._client, folder, after, PAGE_NAMES):
            yield list(map(_info, page))

    @cached_property
    def _client(self) -> RemoteClient | LocalStore | MemoryStore:
        try:
            if self._root is not None:
                return LocalStore(self._root, mkdir=True)
            if self.url == "memory://":
                return MemoryStore()
            return remote_client(self.url, self._options)
        except STORE_ERRORS as error:
            known = store_error(error, self.url)
            if self._root is not None:
                raise known from error
            # Nobody was asked yet, so it can only be what we were told.
            raise ConfigError(known.what, known.where, "correct the store's options") from None


def _info(meta: "obstore.ObjectMeta") -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["last_modified"], meta["e_tag"])
