"""Copies of materialisations, for runs that were given partitions which are up to date already.

Dagster counts a partition that a run planned and did not materialise as failed.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import dagster as dg

from klio_dagster.ledger.events import asset_key
from klio_dagster.ledger.internals import event_log
from klio_dagster.ledger.provenance import SKIPPED, skipped_tag

_A_PAGE = 1000  # more in one query are too many variables for some databases


class Copy(NamedTuple):
    """What is recorded again of an output."""

    event: dg.AssetMaterialization
    checks: list[dg.AssetCheckEvaluation]
    """What was found of it; each still points to the original."""


def copies(instance: dg.DagsterInstance, key: str, storage_ids: Sequence[int]) -> Iterator[Copy]:
    """The materialisations as they may be recorded again; what was wiped meanwhile is left out.

    Dagster shows a partition's check only while it points to the newest materialisation, so checks
    go with the copy. On an event log that takes no batches they do not.

    Args:
        instance: Dagster's.
        key: of their asset.
        storage_ids: where they stand in the event log.
    """
    asset = asset_key(key)
    names = event_log.names_of_checks(instance, asset)
    for start in range(0, len(storage_ids), _A_PAGE):
        page = storage_ids[start : start + _A_PAGE]
        checks = event_log.evaluations_of(instance, asset, names, page)
        wanted = dg.AssetRecordsFilter(asset_key=asset, storage_ids=page)
        for record in instance.fetch_materializations(wanted, limit=len(page)).records:
            if record.asset_materialization is not None:
                copy = _copy(record, record.asset_materialization)
                yield Copy(copy, checks.get(record.storage_id, []))


def _copy(record: dg.EventLogRecord, original: dg.AssetMaterialization) -> dg.AssetMaterialization:
    """All of it, versions included; and which run computed it, when. A copy's copy is the same."""
    tags, metadata = dict(original.tags or {}), dict(original.metadata)
    if SKIPPED not in tags:
        tags[SKIPPED] = skipped_tag(record.timestamp)
        metadata["computed_by"] = dg.MetadataValue.dagster_run(record.run_id)
        metadata["computed_at"] = dg.MetadataValue.timestamp(record.timestamp)
    return dg.AssetMaterialization(
        asset_key=original.asset_key,
        description=original.description,
        metadata=metadata,
        partition=original.partition,
        tags=tags,
    )
