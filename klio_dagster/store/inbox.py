"""The inbox: batches of messages whose entities are not all recorded yet.

<store>/_klio/inbox/<sensor>/<batch id>.jsonl    a line an entity, `core.letter.Asked`

A batch is there from before its messages are acknowledged until everything it asks for is recorded
and passed on.
"""

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple
from uuid import uuid4

from klio_dagster.core.letter import Asked
from klio_dagster.errors import ConfigError
from klio_dagster.store.layout import INBOX_PREFIX, batch_path, inbox_prefix
from klio_dagster.store.objects import ObjectStore

_PATH = re.compile(re.escape(INBOX_PREFIX) + r"([A-Za-z0-9_-]+)/([A-Za-z0-9_-]+)\.jsonl")


class Batch(NamedTuple):
    """A batch of messages in the inbox."""

    sensor: str
    """Which took it in and asks for it."""
    id: str
    """Ids of later batches sort after it."""

    @property
    def path(self) -> str:
        """Where it lies in the store."""
        return batch_path(self.sensor, self.id)

    @classmethod
    def at(cls, path: str) -> "Batch | None":
        """The batch that lies at a path; None if that is no path of a batch."""
        found = _PATH.fullmatch(path)
        return cls(*found.groups()) if found else None


def write_batch(
    store: ObjectStore,
    sensor: str,
    asked: Iterable[Asked],
    *,
    clock: Callable[[], float] = time.time,
) -> Batch:
    """Write a batch; once this returns it survives whatever happens to us.

    Args:
        store: that of the sensor's assets.
        sensor: name of the sensor.
        asked: what the messages ask of each entity.
        clock: seconds since 1970; batches are asked for in its order.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    batch = Batch(sensor, f"{clock() * 1000:014.0f}-{uuid4().hex[:8]}")
    put_batch(store, batch, asked)
    return batch


def put_batch(store: ObjectStore, batch: Batch, asked: Iterable[Asked]) -> None:
    """Write what is left of a batch.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    store.put(batch.path, "".join(each.to_line() for each in asked).encode())


def list_batches(store: ObjectStore, sensor: str) -> list[Batch]:
    """The batches of a sensor, the oldest first.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    found = (Batch.at(info.path) for info in store.list(inbox_prefix(sensor)))
    return sorted(batch for batch in found if batch is not None)


def all_batches(store: ObjectStore) -> list[Batch]:
    """The batches of all sensors.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    found = (Batch.at(info.path) for info in store.list(INBOX_PREFIX))
    return [batch for batch in found if batch is not None]


def asked_entities(store: ObjectStore) -> set[str]:
    """The entities that batches of the inbox name, of all sensors.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    found: set[str] = set()
    for batch in all_batches(store):
        with suppress(ValueError):  # spoilt: its sensor says so in each tick
            found.update(asked.entity for asked in _parsed(store, batch) or ())
    return found


def read_batch(store: ObjectStore, batch: Batch) -> list[Asked] | None:
    """What is left of a batch; None if it has left the inbox.

    Raises:
        ConfigError: somebody has spoilt it, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    try:
        return _parsed(store, batch)
    except ValueError as error:
        raise ConfigError(
            str(error),
            where=store.uri(batch.path),
            fix="take that line out of the file; the others are then computed",
        ) from error


def remove_batch(store: ObjectStore, batch: Batch) -> None:
    """Take a batch out of the inbox: all it asked for is recorded and passed on.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    store.delete(batch.path)


def _parsed(store: ObjectStore, batch: Batch) -> list[Asked] | None:
    """What is left of a batch; None if it has left the inbox.

    Raises:
        ValueError: somebody has spoilt it.
    """
    data = store.get_or_none(batch.path)
    if data is None:
        return None
    asked: list[Asked] = []
    # Bytes: a text would also be split at U+2028, which JSON allows inside of an id.
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            asked.append(Asked.from_line(line))
        except ValueError as error:
            raise ValueError(f"line {number} is no message ({error})") from error
    return asked
