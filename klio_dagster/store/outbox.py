"""What is recorded and has still to be passed on, left by runs that died in between.

<store>/_klio/outbox/<group>/<work id>.jsonl       an entity a line
<store>/_klio/published/<batch or work id>/<n>.json  which entities of a work were passed on
"""

import json
from collections.abc import Collection, Iterator

from klio_dagster.errors import ConfigError
from klio_dagster.store.layout import outbox_prefix, published_prefix
from klio_dagster.store.objects import ObjectStore

_SUFFIX = ".jsonl"


def leave(store: ObjectStore, group: str, work_id: str, entities: Collection[str]) -> None:
    """Write down which entities the next run or sensor of the group passes on.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    if entities:
        lines = (json.dumps({"entity": entity}) + "\n" for entity in entities)
        store.put(f"{outbox_prefix(group)}{work_id}{_SUFFIX}", "".join(lines).encode())


def left_behind(store: ObjectStore, group: str) -> Iterator[tuple[str, str, list[str]]]:
    """Work id, path and entities of each outbox of a group.

    Raises:
        ConfigError: somebody has spoilt one, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    for info in store.list(outbox_prefix(group)):
        data = store.get_or_none(info.path)
        if data is None:  # another run was faster
            continue
        try:
            entities = [str(json.loads(line)["entity"]) for line in data.splitlines()]
            yield info.path.rpartition("/")[2].removesuffix(_SUFFIX), info.path, entities
        except (ValueError, KeyError, TypeError) as error:
            uri = store.uri(info.path)
            raise ConfigError("it names no entities", where=uri, fix="remove it") from error


def put_published(store: ObjectStore, work: str, n: int, entities: Collection[str]) -> None:
    """Note that entities were passed on: the receipt of their messages.

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
        data = store.get_or_none(info.path)
        try:
            found.update(json.loads(data) if data else ())
        except ValueError as error:
            uri = store.uri(info.path)
            raise ConfigError("it names no entities", where=uri, fix="remove it") from error
    return found


def forget_published(store: ObjectStore, work: str) -> None:
    """Remove the notes of a work that is settled.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    store.delete_many([info.path for info in store.list(published_prefix(work))])
