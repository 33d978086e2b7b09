"""The state of an (asset, entity), as people ask for it: materialized, failed, missing, stale."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

from klio_dagster.core.plan import Decision, Plan
from klio_dagster.core.record import Records


class State(StrEnum):
    """Where an (asset, entity) stands; `STALE` ones are materialised too."""

    MATERIALIZED = "materialized"
    FAILED = "failed"
    MISSING = "missing"
    STALE = "stale"


ALL = "all"
STATES = (ALL, *(state.value for state in (State.MISSING, State.FAILED, State.STALE)))
"""What may be asked for instead of entity ids."""


def states(plan: Plan, records: Records) -> Iterator[tuple[str, str, State]]:
    """(asset, entity, state) of each pair of a plan.

    Args:
        plan: of all entities in question, nothing forced.
        records: what the ledger knows, by the plan's asset names.
    """
    for asset, verdicts in plan.verdicts.items():
        known = records.get(asset, {})
        for entity, verdict in verdicts.items():
            record = known.get(entity)
            if record is None or not (record.materialized or record.failed):
                yield asset, entity, State.MISSING
            elif record.failed:
                yield asset, entity, State.FAILED
            elif verdict.decision is Decision.RUN:
                yield asset, entity, State.STALE
            else:
                yield asset, entity, State.MATERIALIZED


def entities_in(state: State, plan: Plan, records: Records) -> list[str]:
    """The entities of a plan with at least one asset in a state, in the plan's order."""
    found = {entity for _, entity, other in states(plan, records) if other is state}
    return [entity for entity in plan.entities if entity in found]


def counts(plan: Plan, records: Records) -> Mapping[str, Mapping[State, int]]:
    """Asset to state to how many entities; materialised includes the stale ones."""
    counted = {asset: dict.fromkeys(State, 0) for asset in plan.assets}
    for asset, _, state in states(plan, records):
        counted[asset][state] += 1
        if state is State.STALE:
            counted[asset][State.MATERIALIZED] += 1
    return counted
