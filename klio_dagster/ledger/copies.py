"""Copies of materialisations, for runs that were given partitions which are up to date already.

Dagster counts a partition that a run planned and did not materialise as failed.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from klio_dagster.ledger.events import asset_key
from klio_dagster.ledger.provenance import SKIPPED, skipped_tag

_A_PAGE = 1000  # more in one query are too many variables for some databases


def copies(
    instance: dg.DagsterInstance, key: str, storage_ids: Sequence[int]
) -> Iterator[dg.AssetMaterialization]:
    """The materialisations as they may be recorded again; what was wiped meanwhile is left out.

    Args:
        instance: Dagster's.
        key: of their asset.
        storage_ids: where they stand in the event log.
    """
    for start in range(0, len(storage_ids), _A_PAGE):
        page = storage_ids[start : start + _A_PAGE]
        wanted = dg.AssetRecordsFilter(asset_key=asset_key(key), storage_ids=page)
        for record in instance.fetch_materializations(wanted, limit=len(page)).records:
            if record.asset_materialization is not None:
                yield _copy(record, record.asset_materialization)


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
