"""Receipts to the event log, in batches."""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice

import dagster as dg

from klio_dagster.core.check import Evaluation
from klio_dagster.core.receipt import Receipt
from klio_dagster.ledger.copies import copies
from klio_dagster.ledger.events import (
    Describe,
    Pointers,
    RunIdentity,
    asset_key,
    check_evaluation,
    failure_observation,
    inputs_of,
    materialization,
    source_observation,
)
from klio_dagster.ledger.internals import check_log, event_log
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
        targets = Targets(run.run_id, _materialized_before(instance, batch))
        makers: list[tuple[float, event_log.Make]] = []
        for receipt in batch:
            if not receipt.is_look:
                event = partial(_event, receipt, pointers, targets, describe)
                makers.append((receipt.finished_at, event))
            makers += [
                (receipt.finished_at, partial(_checked, receipt, evaluation, targets))
                for evaluation in receipt.checks
            ]
        if makers:
            event_log.store_events(instance, run, makers)


def record_copies(
    instance: dg.DagsterInstance, run: RunIdentity, known: Mapping[str, Sequence[int]]
) -> None:
    """Write copies of materialisations, with their checks: asset key to storage ids.

    Raises:
        LedgerError: the event log cannot be written.
    """
    for key, storage_ids in known.items():
        made = copies(instance, key, storage_ids)
        while page := list(islice(made, AT_ONCE)):
            now = time.time()
            makers: list[tuple[float, event_log.Make]] = []
            for copy in page:
                given: list[int] = []
                makers.append((now, partial(_same, copy.event, given)))
                makers += [
                    (now, partial(_found_again, check, given, run.run_id, now))
                    for check in copy.checks
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


class Targets:
    """The newest materialisation of each pair, which its checks are shown with.

    Args:
        run_id: of the run that records.
        known: of pairs that were materialised before: storage id, run id and timestamp.
    """

    def __init__(
        self, run_id: str, known: Mapping[tuple[str, str], tuple[int, str, float]]
    ) -> None:
        self._run_id = run_id
        self._known = dict(known)

    def add(self, receipt: Receipt, storage_id: int) -> None:
        """Take the event of a receipt."""
        self._known[receipt.pair] = (storage_id, self._run_id, receipt.finished_at)

    def of(self, receipt: Receipt) -> tuple[int, str, float] | None:
        """The one to point to."""
        return self._known.get(receipt.pair)


def _materialized_before(
    instance: dg.DagsterInstance, receipts: Iterable[Receipt]
) -> dict[tuple[str, str], tuple[int, str, float]]:
    """The newest event of each pair that is checked and not made now: it is shown with that."""
    checked: dict[str, list[str]] = {}
    for receipt in receipts:
        if receipt.checks and (receipt.failure or receipt.is_look):
            checked.setdefault(receipt.asset, []).append(receipt.entity)
    return {
        (key, row.partition): (row.storage_id, row.run_id, row.timestamp)
        for key, entities in checked.items()
        for row in event_log.newest_events(
            instance, asset_key(key), "ASSET_MATERIALIZATION", sorted(entities)
        )
    }


def _event(
    receipt: Receipt, pointers: Pointers, targets: Targets, describe: Describe, storage_id: int
) -> dg.AssetMaterialization | dg.AssetObservation:
    if receipt.failure:
        return failure_observation(receipt)
    pointers.add(receipt.asset, receipt.entity, storage_id, receipt.data_version)
    targets.add(receipt, storage_id)
    return materialization(receipt, pointers.of(receipt), describe)


def _checked(
    receipt: Receipt, evaluation: Evaluation, targets: Targets, _storage_id: int
) -> dg.AssetCheckEvaluation:
    return check_evaluation(receipt, evaluation, targets.of(receipt))


def _same(
    copy: dg.AssetMaterialization, given: list[int], storage_id: int
) -> dg.AssetMaterialization:
    given[:] = [storage_id]  # another one when the batch is written anew
    return copy


def _found_again(
    check: dg.AssetCheckEvaluation, given: list[int], run_id: str, when: float, _storage_id: int
) -> dg.AssetCheckEvaluation:
    return check_log.of_copy(check, (given[0], run_id, when))


def _planned(asset: str, entity: str, _storage_id: int) -> event_log.Planned:
    return event_log.Planned(asset_key(asset), entity)


def _observed(key: str, entity: str, version: str, _storage_id: int) -> dg.AssetObservation:
    return source_observation(key, entity, version)
