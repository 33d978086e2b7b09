"""Versions of recordings, told to Dagster as observations of the external source assets."""

from collections.abc import Iterable, Mapping

from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.knowledge import Gathered
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.ledger import Ledger


def observe_sources(
    ledger: Ledger, run: RunIdentity, group: EntityGroup, gathered: Gathered
) -> None:
    """Write the changed versions of the sources of the entities asked for."""
    for pattern, versions in gathered.knowledge.sources.items():
        observe_changes(ledger, run, group.keys[pattern], _of(gathered.request.entities, versions))


def observe_changes(
    ledger: Ledger, run: RunIdentity | None, key: str, versions: Mapping[str, str]
) -> int:
    """Write the versions of a source that differ from those last observed.

    Args:
        ledger: Dagster's log.
        run: under which run; None outside of one.
        key: of the external asset.
        versions: entity to version now.

    Returns:
        How many were written.
    """
    observed = ledger.observed_sources(key, list(versions))
    changed = {
        entity: version for entity, version in versions.items() if observed.get(entity) != version
    }
    if changed:
        ledger.observe_sources(run, key, changed)
    return len(changed)


def _of(entities: Iterable[str], versions: Mapping[str, str]) -> dict[str, str]:
    return {entity: versions[entity] for entity in entities if entity in versions}
