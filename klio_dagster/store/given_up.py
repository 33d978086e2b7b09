"""Entities that were tried too often: remembered, so that they are given up once.

<store>/_klio/given-up/<group>/<escaped entity id>=<event id>

The name says all that is asked of it, so that of 100,000 none has to be read.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from klio_dagster.store.layout import entity_and_id, given_up_path, given_up_prefix
from klio_dagster.store.objects import ObjectStore


class GivenUp(NamedTuple):
    """That an entity was given up."""

    event_id: int
    """The last event of the ledger that was known then; what comes after it is news."""
    paths: tuple[str, ...]
    """What says so; earlier times, too."""


def given_up(store: ObjectStore, group: str) -> dict[str, GivenUp]:
    """The entities of a group that were given up, and after which event; none is read.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    prefix = given_up_prefix(group)
    found: dict[str, GivenUp] = {}
    for info in store.list(prefix):
        named = entity_and_id(info.path, prefix)
        if named is None or not named[1].isdecimal():  # nobody of us wrote it
            continue
        before = found.get(named[0], GivenUp(0, ()))
        event_id = max(before.event_id, int(named[1]))
        found[named[0]] = GivenUp(event_id, (*before.paths, info.path))
    return found


def remember(store: ObjectStore, group: str, entity: str, event_id: int, at: float) -> None:
    """Write down that an entity was given up.

    Args:
        store: the group's.
        group: its name.
        entity: entity id.
        event_id: the last event of the ledger that is known of it.
        at: seconds since 1970, for people.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    said = json.dumps({"entity": entity, "given_up_at": at}).encode()
    store.put(given_up_path(group, entity, event_id), said + b"\n")


def forget(store: ObjectStore, known: Mapping[str, GivenUp]) -> None:
    """Remove what says so.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    store.delete_many(path for each in known.values() for path in each.paths)
