"""(asset, entities) to records, a few queries an asset however many entities there are."""

import json
import re
from collections.abc import Sequence

import dagster as dg

from klio_dagster.core.record import NO_VERSIONS, Record
from klio_dagster.ledger import internals
from klio_dagster.ledger.events import asset_key
from klio_dagster.ledger.provenance import (
    CODE_VERSION,
    DATA_VERSION,
    FAILURE,
    input_versions,
)

_MATERIALIZATION = "ASSET_MATERIALIZATION"
_OBSERVATION = "ASSET_OBSERVATION"
# Only the tags are wanted of a body of some kilobytes. Within texts quotes are escaped, so this
# cannot match there; whatever else it may meet is told by what the tags are.
_TAGS = re.compile(r'"tags": (\{[^{}]*\})')


def records_of(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str] | None
) -> dict[str, Record]:
    """What the event log knows of an asset's partitions; those it knows nothing of are left out."""
    records: dict[str, Record] = {}
    wanted = asset_key(key)
    for row in internals.newest_events(instance, wanted, _MATERIALIZATION, entities):
        tags = tags_in(row.body, DATA_VERSION)
        records[row.partition] = Record(
            materialized=True,
            failed=False,
            code_version=tags.get(CODE_VERSION),
            data_version=tags.get(DATA_VERSION),
            input_versions=input_versions(tags) or NO_VERSIONS,
            timestamp=row.timestamp,
            storage_id=row.storage_id,
        )
    never = Record(materialized=False, failed=False)
    for row in internals.newest_events(instance, wanted, _OBSERVATION, entities):
        before = records.get(row.partition, never)
        if row.storage_id > (before.storage_id or 0) and FAILURE in tags_in(row.body, FAILURE):
            records[row.partition] = before._replace(failed=True, timestamp=row.timestamp)
    return records


def observed_versions(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str] | None
) -> dict[str, tuple[int, str]]:
    """Storage id and data version of the newest observation of each partition of a source."""
    rows = internals.newest_events(instance, asset_key(key), _OBSERVATION, entities)
    return {
        row.partition: (row.storage_id, tags_in(row.body, DATA_VERSION).get(DATA_VERSION, ""))
        for row in rows
    }


def newest_pointers(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str]
) -> dict[str, tuple[int, str | None]]:
    """Storage id and data version of the newest event of an input, asset or source."""
    found: dict[str, tuple[int, str | None]] = {
        row.partition: (row.storage_id, tags_in(row.body, DATA_VERSION).get(DATA_VERSION))
        for row in internals.newest_events(instance, asset_key(key), _MATERIALIZATION, entities)
    }
    return found or dict(observed_versions(instance, key, entities))


def tags_in(body: str, expected: str) -> dict[str, str]:
    """The tags of a stored event.

    Args:
        body: the event as Dagster stored it.
        expected: a tag that tells the event's tags from another thing of that name.
    """
    for match in _TAGS.finditer(body):
        tags = json.loads(match[1])
        if expected in tags:
            return tags
    return {}


def failures_of(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str] | None
) -> dict[str, tuple[str, str, str]]:
    """Kind, message and run of the last attempt of each partition where that failed."""
    made = {
        row.partition: row.storage_id
        for row in internals.newest_events(instance, asset_key(key), _MATERIALIZATION, entities)
    }
    failed: dict[str, tuple[str, str, str]] = {}
    for row in internals.newest_events(instance, asset_key(key), _OBSERVATION, entities):
        kind = tags_in(row.body, FAILURE).get(FAILURE)
        if kind is not None and row.storage_id > made.get(row.partition, 0):
            entry = dg.deserialize_value(row.body, dg.EventLogEntry)
            observation = entry.asset_observation
            failed[row.partition] = (
                kind,
                (observation.description if observation else None) or kind,
                entry.run_id,
            )
    return failed


def metadata_of(
    instance: dg.DagsterInstance, key: str, entities: Sequence[str]
) -> dict[str, dict[str, object]]:
    """Metadata of the newest materialisation of each partition, as plain values."""
    found: dict[str, dict[str, object]] = {}
    for row in internals.newest_events(instance, asset_key(key), _MATERIALIZATION, entities):
        made = dg.deserialize_value(row.body, dg.EventLogEntry).asset_materialization
        if made is not None:
            found[row.partition] = {name: value.value for name, value in made.metadata.items()}
    return found


def newest_version(instance: dg.DagsterInstance, key: str) -> str | None:
    """Data version of the newest materialisation of an asset without partitions."""
    event = instance.get_latest_materialization_event(asset_key(key))
    made = event.asset_materialization if event else None
    return (made.tags or {}).get(DATA_VERSION) if made else None
