"""Checks selected without their assets: what is stored is checked again, nothing is computed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from klio_dagster.core.ids import id_problem
from klio_dagster.core.manifest import Manifest, Task, part_specs
from klio_dagster.core.record import Records
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.tasks import store_manifest
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.open_claim import OpenClaim
from klio_dagster.store.store import Store


def looked_at(context: dg.AssetExecutionContext, group: EntityGroup) -> list[str]:
    """The assets that a run only checks again: it selects checks and no asset.

    A run that computes looks at what it computes, and at nothing else.
    """
    if context.selected_asset_keys:
        return []
    checks = context.selected_asset_check_keys
    return group.names_of(check.asset_key.to_user_string() for check in checks)


def write_looks(
    store: Store,
    held: OpenClaim,
    engine: dict[str, Any],
    group: EntityGroup,
    names: Sequence[str],
    entities: Sequence[str],
    ledger: Ledger,
) -> tuple[Manifest, int]:
    """Write down for a driver what is to be checked again: the entities that have an output.

    Returns:
        The manifest and the number of outputs.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be read.
    """
    valid = [entity for entity in entities if id_problem(entity) is None]
    by_key = ledger.records([group.keys[name] for name in names], valid)
    records = {name: by_key[group.keys[name]] for name in names}
    parts = part_specs(group.chain, names, group.code_versions, group.keys)
    manifest = Manifest(
        run=held.claim.work_id,
        generation=held.claim.generation,
        store=store.url,
        parts=(),
        # Without inputs: one that cannot be loaded blocks no other.
        chain=[replace(part, inputs={}, is_looked_at=True) for part in parts],
        engine=engine,
    )
    outputs = sum(1 for task in _tasks(records, valid) for _ in task.run)
    return store_manifest(store, manifest, _tasks(records, valid), wall=held.clock), outputs


def _tasks(records: Records, entities: Sequence[str]) -> Iterator[Task]:
    for entity in entities:
        names = [name for name, known in records.items() if _is_stored(known, entity)]
        if names:
            yield Task(entity=entity, run=names)


def _is_stored(known: Mapping[str, Any], entity: str) -> bool:
    return entity in known and known[entity].materialized
