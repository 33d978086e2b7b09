"""Where a catalogue stands: counts by asset and state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from klio_dagster.core.plan import Plan
from klio_dagster.core.state import State, states
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.knowledge import Gathered


@dataclass(frozen=True, slots=True)
class Status:
    """Counts of a catalogue.

    Args:
        catalogues: name of each catalogue to how many entities it has.
        assets: asset key to state to how many entities; stale ones are materialized too.
    """

    catalogues: Mapping[str, int]
    assets: Mapping[str, Mapping[str, int]]

    @classmethod
    def of_groups(cls, each: Iterable["Status"]) -> "Status":
        """The counts of several groups together."""
        catalogues: dict[str, int] = {}
        assets: dict[str, Mapping[str, int]] = {}
        for status in each:
            catalogues |= status.catalogues
            assets |= status.assets
        return cls(catalogues, assets)

    @property
    def entities(self) -> int:
        """How many there are in all catalogues."""
        return sum(self.catalogues.values())

    def to_json(self) -> dict[str, Any]:
        """What `klio status --json` says."""
        return {"entities": self.entities, "assets": {k: dict(v) for k, v in self.assets.items()}}


def status_of(
    group: EntityGroup, gathered: Gathered, plan: Plan, stands_for: Mapping[str, int]
) -> Status:
    """The counts of one group.

    Args:
        group: the group.
        gathered: what is known of the entities of the plan.
        plan: for these entities, nothing forced.
        stands_for: each of them to how many of the catalogue it stands for, itself included.
    """
    counted = {asset: dict.fromkeys(State, 0) for asset in plan.assets}
    for asset, entity, state in states(plan, gathered.knowledge.records):
        number = stands_for[entity]
        counted[asset][state] += number
        if state is State.STALE:
            counted[asset][State.MATERIALIZED] += number
    return Status(
        {group.partitions: sum(stands_for.values())},
        {
            group.keys[name]: {state.value: number for state, number in by_state.items()}
            for name, by_state in counted.items()
        },
    )
