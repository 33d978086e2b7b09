"""Receipts to the event log, in batches."""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import dagster as dg

from klio_dagster.core.receipt import Receipt
from klio_dagster.ledger.events import (
    Describe,
    Pointers,
    RunIdentity,
    asset_key,
    failure_observation,
    inputs_of,
    materialization,
    source_observation,
)
from klio_dagster.ledger.internals import event_log
from klio_dagster.ledger.read import pointers_to

AT_ONCE = 1000  # events a transaction: bounds how long others wait for the lock


def record_receipts(
    instance: dg.DagsterInstance,
    run: RunIdentity,
    receipts: Sequence[Receipt],
    describe: Describe,
) -> None:
    """Write receipts as their events, in the order in which they finished.

    Raises:
        LedgerError: the event log cannot be written.
    """
    ordered = sorted(receipts, key=lambda receipt: receipt.finished_at)  # upstream first
    for start in range(0, len(ordered), AT_ONCE):
        batch = ordered[start : start + AT_ONCE]
        pointers = pointers_to(
            instance, {key: sorted(entities) for key, entities in inputs_of(batch).items()}
        )
        makers = [
            (receipt.finished_at, partial(_event, receipt, pointers, describe)) for receipt in batch
        ]
        event_log.store_events(instance, run, makers)


def mark_pairs_failed(
    instance: dg.DagsterInstance, run: RunIdentity, pairs: Iterable[tuple[str, str]]
) -> None:
    """Plan each pair in its own event: when the run fails, Dagster shows these partitions failed.

    A planned event of a subset of partitions would not do that.
    """
    now = time.time()
    makers = [(now, partial(_planned, asset, entity)) for asset, entity in pairs]
    for start in range(0, len(makers), AT_ONCE):
        event_log.store_events(instance, run, makers[start : start + AT_ONCE])


def observe_versions(
    instance: dg.DagsterInstance, run: RunIdentity, key: str, versions: Mapping[str, str]
) -> None:
    """Write the versions of a source's partitions."""
    now = time.time()
    makers = [
        (now, partial(_observed, key, entity, version)) for entity, version in versions.items()
    ]
    for start in range(0, len(makers), AT_ONCE):
        event_log.store_events(instance, run, makers[start : start + AT_ONCE])


def _event(
    receipt: Receipt, pointers: Pointers, describe: Describe, storage_id: int
) -> dg.AssetMaterialization | dg.AssetObservation:
    if receipt.failure:
        return failure_observation(receipt)
    pointers.add(receipt.asset, receipt.entity, storage_id, receipt.data_version)
    return materialization(receipt, pointers.of(receipt), describe)


def _planned(asset: str, entity: str, _storage_id: int) -> event_log.Planned:
    return event_log.Planned(asset_key(asset), entity)


def _observed(key: str, entity: str, version: str, _storage_id: int) -> dg.AssetObservation:
    return source_observation(key, entity, version)
