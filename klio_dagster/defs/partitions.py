"""The catalogue: entity ids as dynamic partitions, registered in bulk."""

from collections.abc import Iterable, Sequence
from itertools import islice

import dagster as dg

from klio_dagster.core.ids import check_id

_FEW = 20
_AT_ONCE = 20_000  # Dagster binds a value an id, and SQLite takes 32,766


def registered(instance: dg.DagsterInstance, name: str) -> Sequence[str]:
    """The entity ids of a catalogue, in the order they were registered."""
    return instance.get_dynamic_partitions(name)


def register(instance: dg.DagsterInstance, name: str, entities: Iterable[str]) -> int:
    """Register entity ids; those already there are fine.

    Args:
        instance: Dagster's.
        name: of the dynamic partitions definition.
        entities: ids, in any order, perhaps several times.

    Returns:
        How many are new.

    Raises:
        InvalidEntityIdError: an id breaks the rules; nothing is registered.
    """
    asked = list(dict.fromkeys(check_id(entity) for entity in entities))
    if len(asked) <= _FEW:  # a message a second must not read a catalogue of a million each time
        new = [entity for entity in asked if not instance.has_dynamic_partition(name, entity)]
    else:
        known = set(registered(instance, name))
        new = [entity for entity in asked if entity not in known]
    rest = iter(new)
    while chunk := list(islice(rest, _AT_ONCE)):
        instance.add_dynamic_partitions(name, chunk)
    return len(new)
