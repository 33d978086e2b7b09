"""What one run of one group works with."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from klio_dagster.defs.group import EntityGroup
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.open_claim import OpenClaim
from klio_dagster.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one group, once it holds its claim.

    Args:
        context: of the op.
        group: what is computed.
        selected: names of the assets that may run, upstream first.
        looked_at: names of the assets that are only checked again.
        partitioned: keys of the outside assets that have the group's partitions.
        partitions: those for each of which Dagster waits for an event.
        store: where outputs and receipts lie.
        engine: options of the engine.
        ledger: Dagster's log.
        identity: what is recorded is recorded under it.
        claim: what the run holds.
        confirm: returns while the claim is ours; called before anything is recorded.
    """

    context: dg.AssetExecutionContext
    group: EntityGroup
    selected: Sequence[str]
    looked_at: Sequence[str]
    partitioned: Collection[str]
    partitions: Sequence[str]
    store: Store
    engine: dict[str, Any]
    ledger: Ledger
    identity: RunIdentity
    claim: OpenClaim
    confirm: Callable[[], None]

    @property
    def work_id(self) -> str:
        """Names the folders of this work."""
        return self.claim.claim.work_id

    def keys(self, names: Sequence[str]) -> list[str]:
        """Asset keys of the group's assets."""
        return [self.group.keys[name] for name in names]
