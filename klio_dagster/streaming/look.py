"""`look`: whether inputs that other jobs make have come."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from klio_dagster.core.plan import INPUT_REQUESTED
from klio_dagster.core.request import Request
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.knowledge import Gathered, gather, held_by_others
from klio_dagster.defs.requested import partitioned_outside
from klio_dagster.defs.sensing import graph_of
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.store import Store


@dataclass(slots=True)
class Looks:
    """When a process looked last, for one sensor."""

    at: float | None = None
    """By the monotonic clock."""

    def is_due(self, every_s: float) -> bool:
        """It is time to look again."""
        return self.at is None or time.monotonic() - self.at >= every_s


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of one asset.

    Args:
        missing: entities that lack one.
        made_at: when the newest input of each other entity came, in seconds since 1970; 0 where
            nobody says.
    """

    missing: frozenset[str]
    made_at: Mapping[str, float]

    def made_between(self, begin: float, end: float) -> set[str]:
        """Entities whose input came after the beginning, and not after the end."""
        return {entity for entity, at in self.made_at.items() if begin < at <= end}


def look(
    context: dg.SensorEvaluationContext,
    group: EntityGroup,
    store: Store,
    ledger: Ledger,
    name: str,
    entities: Sequence[str],
) -> Inputs:
    """Look for the inputs of an asset, in one listing of the sources and one look at the ledger.

    Args:
        context: Dagster's.
        group: of the asset.
        store: that of the group.
        ledger: Dagster's log.
        name: of the asset.
        entities: who waits for its input.

    Raises:
        ConfigError: the store cannot be listed.
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be read.
    """
    asking = frozenset(entities)
    # All assets: it may be made from what a run would compute just before.
    gathered = gather(
        group,
        Request(entities=tuple(entities), forced=asking, may_ask_upstream=asking),
        [asset.name for asset in group.chain.assets],
        ledger=ledger,
        store=store,
        partitioned=partitioned_outside(group, graph_of(context)),
        in_flight=held_by_others(store, (), ()),
    )
    verdicts = gathered.plan(group).verdicts[name]
    missing = frozenset(entity for entity in entities if verdicts[entity].reason == INPUT_REQUESTED)
    made_at = {entity: _made_at(group, gathered, name, entity) for entity in asking - missing}
    return Inputs(missing, made_at)


def _made_at(group: EntityGroup, gathered: Gathered, name: str, entity: str) -> float:
    inputs = group.chain.inputs(name)
    records = gathered.knowledge.records
    found = [r.timestamp for dep in inputs.outside if (r := records.get(dep, {}).get(entity))]
    for pattern in inputs.sources:
        source = gathered.listings[pattern].matches.get(entity)
        if source is not None and source.modified is not None:
            found.append(source.modified.timestamp())
    return max(found, default=0.0)
