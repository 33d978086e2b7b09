"""What is recorded and has still to be passed on.

<store>/_klio/outbox/<group>/<name>.jsonl            an entity a line, `core.letter.TakenIn`
<store>/_klio/published/<batch or work id>/<n>.json  which entities of a work were passed on

A line without a message is of an entity that came without any. An object of the outbox is never
added to: whoever passes it on writes down what is left of it, or removes it.
"""

import json
from collections.abc import Collection, Sequence

from klio_dagster.core.letter import TakenIn
from klio_dagster.errors import ConfigError
from klio_dagster.store.layout import outbox_prefix, published_prefix
from klio_dagster.store.objects import ObjectStore

_SUFFIX = ".jsonl"


def leave(store: ObjectStore, group: str, name: str, said: Sequence[TakenIn]) -> None:
    """Write down what the next run or sensor of the group passes on.

    Args:
        store: that of the group.
        group: its name.
        name: of the object; the same again is the same object.
        said: entity by entity.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    if said:
        rewrite(store, f"{outbox_prefix(group)}{name}{_SUFFIX}", said)


def rewrite(store: ObjectStore, path: str, left: Sequence[TakenIn]) -> None:
    """Write down what is left of an object of the outbox, which goes when nothing is.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    if left:
        store.put(path, "".join(each.to_line() for each in left).encode())
    else:
        store.delete(path)


def left_behind(store: ObjectStore, group: str) -> list[str]:
    """Paths of the objects in the outbox of a group.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    return sorted(info.path for info in store.list(outbox_prefix(group)))


def read_outbox(store: ObjectStore, path: str) -> list[TakenIn]:
    """What is to be passed on; nothing if somebody else was faster.

    Raises:
        ConfigError: somebody has spoilt it, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    data = store.get_or_none(path) or b""
    try:
        # Bytes: a text would also be split at U+2028, which JSON allows inside of an id.
        return [TakenIn.from_line(line) for line in data.splitlines()]
    except ValueError as error:
        uri = store.uri(path)
        raise ConfigError(f"it names no entities ({error})", where=uri, fix="remove it") from error


def put_published(store: ObjectStore, work: str, n: int, entities: Collection[str]) -> None:
    """Note that entities were passed on, or left in the outbox: the receipt of their messages.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    store.put(f"{published_prefix(work)}{n:06}.json", json.dumps(sorted(entities)).encode())


def published(store: ObjectStore, work: str) -> set[str]:
    """The entities of a work that were passed on.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    found: set[str] = set()
    for info in store.list(published_prefix(work)):
        try:
            found.update(map(str, json.loads(store.get_or_none(info.path) or b"[]")))
        except (ValueError, TypeError):  # spoilt: what it named is passed on once more
            continue
    return found


def forget_published(store: ObjectStore, work: str) -> None:
    """Remove the notes of a work that is settled.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    store.delete_many([info.path for info in store.list(published_prefix(work))])
