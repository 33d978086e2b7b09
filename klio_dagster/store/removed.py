"""Tombstones: entities that were taken down, which nobody computes again.

<store>/_klio/removed/<escaped entity id>
"""

import json
from collections.abc import Iterable

from klio_dagster.store.layout import REMOVED_PREFIX, removed_entity, removed_path
from klio_dagster.store.objects import ObjectStore


def removed_entities(store: ObjectStore) -> frozenset[str]:
    """The entities that were taken down.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    listed = (removed_entity(info.path) for info in store.list(REMOVED_PREFIX))
    return frozenset(entity for entity in listed if entity is not None)


def bury(store: ObjectStore, entities: Iterable[str], at: float) -> None:
    """Write tombstones; one that stands keeps its time.

    Args:
        store: whose outputs are never computed again.
        entities: checked ids.
        at: seconds since 1970.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer.
    """
    for entity in entities:
        store.put_if_absent(removed_path(entity), json.dumps({"removed_at": at}).encode())


def restore(store: ObjectStore, entities: Iterable[str]) -> list[str]:
    """Take tombstones away; the entities that had one.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    known = removed_entities(store)
    found = [entity for entity in entities if entity in known]
    store.delete_many(removed_path(entity) for entity in found)
    return found
