"""(asset, entities) to records, a few queries an asset however many entities there are."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from sys import float_info
from typing import Any

import dagster as dg

from klio_dagster.core.receipt import UPSTREAM_FAILED
from klio_dagster.core.record import NO_VERSIONS, Attempt, FailedPair, Record, Tries
from klio_dagster.ledger.events import Pointers, asset_key
from klio_dagster.ledger.internals import event_log
from klio_dagster.ledger.internals.tries import failed_attempts
from klio_dagster.ledger.provenance import (
    CODE_VERSION,
    DATA_VERSION,
    FAILURE,
    NO_VERSION,
    attempt_of,
    computed_at,
    input_versions,
)

_MATERIALIZATION = "ASSET_MATERIALIZATION"
_OBSERVATION = "ASSET_OBSERVATION"
_NEVER = Tries(0, 0, 0.0, 0)


def records_of(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str] | None
) -> dict[str, Record]:
    """What the event log knows of an asset's partitions; those it knows nothing of are left out."""
    records: dict[str, Record] = {}
    wanted = asset_key(key)
    for row in event_log.newest_events(instance, wanted, _MATERIALIZATION, entities):
        tags = row.part or {}
        records[row.partition] = Record(
            materialized=True,
            failed=False,
            code_version=tags.get(CODE_VERSION),
            data_version=tags.get(DATA_VERSION),
            input_versions=input_versions(tags) or NO_VERSIONS,
            timestamp=computed_at(tags, row.timestamp),
            storage_id=row.storage_id,
            event_id=row.storage_id,
        )
    never = Record(materialized=False, failed=False)
    for row in event_log.newest_events(instance, wanted, _OBSERVATION, entities, tag=FAILURE):
        before = records.get(row.partition, never)
        attempt = attempt_of(row.part or {})
        if attempt is not None and row.storage_id > (before.storage_id or 0):
            records[row.partition] = before._replace(
                failed=True,
                timestamp=row.timestamp,
                attempt=attempt,
                event_id=row.storage_id,
            )
    return records


def observed_versions(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str] | None
) -> dict[str, str]:
    """Data version of the newest observation of each partition of a source."""
    rows = event_log.newest_events(instance, asset_key(key), _OBSERVATION, entities)
    return {row.partition: (row.part or {}).get(DATA_VERSION, "") for row in rows}


def pointers_to(instance: dg.DagsterInstance, inputs: Mapping[str, Sequence[str]]) -> Pointers:
    """The events of inputs: key to entities."""
    pointers = Pointers()
    for key, entities in inputs.items():
        for entity, storage_id, version in event_log.data_versions(
            instance, asset_key(key), entities
        ):
            pointers.add(key, entity, storage_id, version)
    return pointers


def failures_of(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str] | None
) -> list[FailedPair]:
    """The partitions whose last attempt failed."""
    wanted = asset_key(key)
    # Observations first: there are as many as failures, and materialisations of everything.
    seen = {
        row.partition: row
        for row in event_log.newest_events(instance, wanted, _OBSERVATION, entities, tag=FAILURE)
    }
    for made in event_log.newest_events(instance, wanted, _MATERIALIZATION, list(seen)):
        if made.storage_id > seen[made.partition].storage_id:
            del seen[made.partition]
    kind_of = {entity: row.part[FAILURE] for entity, row in seen.items()}
    said = event_log.newest_events(
        instance, wanted, _OBSERVATION, sorted(seen), "description", tag=FAILURE
    )
    return [
        FailedPair(key, row.partition, kind_of[row.partition], row.part, row.run_id)
        for row in said
        if row.partition in kind_of
    ]


def tries_of(
    instance: dg.DagsterInstance,
    key: str,
    entities: Sequence[str] | None,
    after: Mapping[str, int],
) -> dict[str, Tries]:
    """How often each partition was tried in vain since it was materialised last."""
    attempts = failed_attempts(
        instance, asset_key(key), entities, tag=FAILURE, value=UPSTREAM_FAILED
    )
    return counted(attempts, after)


def counted(
    attempts: Iterable[tuple[str, int, float, bool]], after: Mapping[str, int]
) -> dict[str, Tries]:
    """Failed attempts, oldest first, by partition.

    Args:
        attempts: partition, storage id, timestamp, and whether it was not made because of another
            failure.
        after: partition to the storage id up to which none is fresh.
    """
    found: dict[str, Tries] = {}
    for partition, storage_id, timestamp, is_blocked in attempts:
        failed, fresh, last_at, _ = found.get(partition, _NEVER)
        if not is_blocked:
            failed, last_at = failed + 1, timestamp
            fresh += storage_id > after.get(partition, 0)
        found[partition] = Tries(failed, fresh, last_at or timestamp, storage_id)
    return found


def metadata_of(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Metadata of the newest materialisation of each partition, as plain values."""
    rows = event_log.newest_events(
        instance, asset_key(key), _MATERIALIZATION, entities, "metadata_entries"
    )
    return {row.partition: _plain_values(row.part) for row in rows}


def attempts_of(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str]
) -> dict[str, list[Attempt]]:
    """The newest materialisation of each partition, and before it a failure that is newer."""
    found: dict[str, list[Attempt]] = {}
    for kind, tag in ((_MATERIALIZATION, ""), (_OBSERVATION, FAILURE)):
        newest = partial(event_log.newest_events, instance, asset_key(key), kind, entities, tag=tag)
        rows = list(newest())
        told = newest(part="metadata_entries")
        # As a list first: what raised in mid-way would keep the storage locked.
        metadata = {row.storage_id: _plain_values(row.part) for row in list(told)}
        for row in rows:
            tags, before = row.part or {}, found.get(row.partition, [])
            failure = tags.get(FAILURE)
            is_news = not before or row.storage_id > before[0].storage_id
            if kind == _MATERIALIZATION or (failure is not None and is_news):
                shown = metadata.get(row.storage_id, {})
                attempt = Attempt(failure, row.timestamp, row.run_id, row.storage_id, tags, shown)
                found[row.partition] = [attempt, *before]
    return found


def numbers_of(instance: dg.DagsterInstance, key: str) -> dict[str, dict[str, float]]:
    """The numbers among the metadata of the newest materialisation of each partition."""
    rows = event_log.newest_events(
        instance, asset_key(key), _MATERIALIZATION, None, "metadata_entries"
    )
    return {row.partition: numbers_among(_plain_values(row.part)) for row in rows}


def numbers_among(metadata: Mapping[str, object]) -> dict[str, float]:
    """The entries that are finite numbers; yes and no are none."""
    return {
        name: value
        for name, value in metadata.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and is_number(value)
    }


def is_number(value: float) -> bool:
    """It is finite and fits a float; whole numbers of Python may have any length."""
    return abs(value) <= float_info.max


def newest_event(instance: dg.DagsterInstance, keys: Sequence[str]) -> int:
    """Storage id of the newest event of any of these assets; 0 if there is none."""
    newest = 0
    for key in map(asset_key, keys):
        for fetch in (instance.fetch_materializations, instance.fetch_observations):
            newest = max([newest, *(event.storage_id for event in fetch(key, limit=1).records)])
    return newest


def newest_version(instance: dg.DagsterInstance, key: str) -> str | None:
    """Data version of an asset without partitions, made or observed; None if it never was."""
    wanted = asset_key(key)
    newest = (
        instance.fetch_materializations(wanted, limit=1).records
        or instance.fetch_observations(wanted, limit=1).records
    )
    if not newest:
        return None
    event = newest[0].asset_materialization or newest[0].asset_observation
    return (event.tags or {}).get(DATA_VERSION, NO_VERSION) if event else None


def _plain_values(entries: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {entry["label"]: _plain(entry["entry_data"]) for entry in entries or ()}


def _plain(data: Mapping[str, object]) -> object:
    # Dagster's own reading makes an object of each entry, 0.15 ms an event.
    return next((value for name, value in data.items() if name != "__class__"), None)
