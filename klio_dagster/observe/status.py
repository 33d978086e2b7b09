"""Where a catalogue stands: counts by asset and state, and what failed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klio_dagster.core.plan import Plan
from klio_dagster.core.receipt import UPSTREAM_FAILED
from klio_dagster.core.record import FailedPair
from klio_dagster.core.state import counts
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.knowledge import Gathered
from klio_dagster.ledger.ledger import Ledger


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


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed at its last attempt.

    Args:
        causes: the pairs that failed by themselves, by asset and then by entity.
        blocked: how many pairs were not attempted because of them.
    """

    causes: Sequence[FailedPair]
    blocked: int

    def to_json(self) -> dict[str, Any]:
        """What `klio failures --json` says."""
        return {
            "failures": [
                {
                    "entity": pair.entity,
                    "asset": pair.asset,
                    "error": pair.error,
                    "run_id": pair.run_id,
                }
                for pair in self.causes
            ],
            "blocked": self.blocked,
        }


def status_of(group: EntityGroup, gathered: Gathered, plan: Plan) -> Status:
    """The counts of one group.

    Args:
        group: the group.
        gathered: what is known of all entities of its catalogue.
        plan: the plan for all of them, nothing forced.
    """
    return Status(
        {group.partitions: len(plan.entities)},
        {
            group.keys[name]: {state.value: number for state, number in by_state.items()}
            for name, by_state in counts(plan, gathered.knowledge.records).items()
        },
    )


def failures_of(ledger: Ledger, keys: Sequence[str]) -> Failures:
    """What failed of these assets.

    Raises:
        LedgerError: Dagster's log cannot be read.
    """
    order = {key: number for number, key in enumerate(keys)}
    failed = ledger.failures(keys, None)
    causes = [pair for pair in failed if pair.kind != UPSTREAM_FAILED]
    causes.sort(key=lambda pair: (order[pair.asset], pair.entity))
    return Failures(causes, len(failed) - len(causes))
