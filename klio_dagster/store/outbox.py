"""What is recorded and has still to be passed on.

<store>/_klio/outbox/<group>/<work>-<id>.jsonl       an entity a line, `core.letter.TakenIn`
<store>/_klio/published/<batch or work id>/<id>.json which entities of a work were passed on

A line without a message is of an entity that came without any. An object of the outbox is never
added to: whoever passes it on writes down what is left of it, or removes it.
"""

import json
from collections.abc import Collection, Sequence
from typing import NamedTuple, cast
from uuid import uuid4

from klio_dagster.core.letter import TakenIn
from klio_dagster.store.layout import outbox_prefix, published_prefix
from klio_dagster.store.objects import ObjectStore

_MOST_LINES = 1000  # what is told in one go: none of it is written twice


class Outbox(NamedTuple):
    """One object of the outbox.

    Args:
        path: in the store.
        left: what is to be passed on.
        spoilt: lines that say nothing; they stay.
    """

    path: str
    left: Sequence[TakenIn]
    spoilt: Sequence[bytes] = ()


def leave(store: ObjectStore, group: str, work: str, said: Sequence[TakenIn]) -> None:
    """Write down what the next run or sensor of the group passes on.

    Args:
        store: that of the group.
        group: its name.
        work: id of the batch or of the run's work.
        said: entity by entity.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    for start in range(0, len(said), _MOST_LINES):
        path = f"{outbox_prefix(group)}{work}-{uuid4().hex[:8]}.jsonl"
        rewrite(store, Outbox(path, said[start : start + _MOST_LINES]))


def rewrite(store: ObjectStore, outbox: Outbox) -> None:
    """Write down what is left of an object of the outbox, which goes when nothing is.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    # What is spoilt may lack its end, and would take the line after it with it.
    lines = [each.to_line().encode() for each in outbox.left]
    lines += [line.rstrip(b"\n") + b"\n" for line in outbox.spoilt]
    if lines:
        store.put(outbox.path, b"".join(lines))
    else:
        store.delete(outbox.path)


def left_behind(store: ObjectStore, group: str) -> list[str]:
    """Paths of the objects in the outbox of a group.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    return sorted(info.path for info in store.list(outbox_prefix(group)))


def read_outbox(store: ObjectStore, path: str) -> Outbox | None:
    """What is to be passed on; None if somebody else was faster.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    data = store.get_or_none(path)
    if data is None:
        return None
    left: list[TakenIn] = []
    spoilt: list[bytes] = []
    # Bytes: a text would also be split at U+2028, which JSON allows inside of an id.
    for line in data.splitlines(keepends=True):
        try:
            left.append(TakenIn.from_line(line))
        except ValueError:
            spoilt.append(line)
    return Outbox(path, left, spoilt)


def waiting(store: ObjectStore, group: str) -> int:
    """How many entities of a group have still to be passed on.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    found = (read_outbox(store, path) for path in left_behind(store, group))
    return sum(len(outbox.left) for outbox in found if outbox is not None)


def put_published(store: ObjectStore, work: str, entities: Collection[str]) -> None:
    """Note that entities were passed on, or left in the outbox: the receipt of their messages.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    path = f"{published_prefix(work)}{uuid4().hex[:12]}.json"
    store.put(path, json.dumps(sorted(entities)).encode())


def published(store: ObjectStore, work: str) -> set[str]:
    """The entities of a work that were passed on.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    found: set[str] = set()
    for info in store.list(published_prefix(work)):
        found.update(noted(store.get_or_none(info.path) or b"[]"))
    return found


def noted(data: bytes) -> list[str]:
    """The entities that a note names; none if it is spoilt: they are passed on once more."""
    try:
        named: object = json.loads(data)
    except (ValueError, RecursionError):
        return []
    return [str(each) for each in cast("list[object]", named)] if isinstance(named, list) else []


def forget_published(store: ObjectStore, work: str) -> None:
    """Remove the notes of a work that is settled.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    store.delete_many([info.path for info in store.list(published_prefix(work))])
