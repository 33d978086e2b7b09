"""Runs that died: what they finished is written to the ledger before anybody plans."""

import dagster as dg

from klio_dagster.core.fold import fold, unrecorded
from klio_dagster.core.receipt import Receipt
from klio_dagster.core.record import Records
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.in_flight import finished_receipts
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.claims import ClaimState, read_claims, remove_claim, store_time
from klio_dagster.store.layout import OWN_FOLDER
from klio_dagster.store.local import clean_leftovers
from klio_dagster.store.receipts import compact
from klio_dagster.store.store import Store

_LEFTOVER_AGE_S = 60.0  # an upload takes less; a younger one may be another run's


def fold_dead_runs(store: Store, ledger: Ledger, instance: dg.DagsterInstance) -> list[str]:
    """Record what dead runs finished, report them failed, and free what they held.

    A kill between any two lines repeats the lines before it, which then change nothing.

    Returns:
        The ids of the runs.

    Raises:
        ConfigError: a claim cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    dead = [state for state in read_claims(store, now=store_time(store)) if not state.is_alive]
    for state in dead:
        settle(store, ledger, RunIdentity.of_run(instance, state.claim.run_id))
        _report_failed(instance, state)
        remove_claim(store, state.claim.run_id)
    if dead and (root := store.local_path("")) is not None:
        folders = {asset for state in dead for asset in state.claim.assets}
        clean_leftovers(root, _LEFTOVER_AGE_S, folders=(OWN_FOLDER, *sorted(folders)))
    return [state.claim.run_id for state in dead]


def settle(store: Store, ledger: Ledger, run: RunIdentity) -> None:
    """Record what a run finished and had not recorded.

    Raises:
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be written.
    """
    folded = fold(finished_receipts(store, run.run_id))
    if folded:
        keys = sorted({asset for asset, _ in folded})
        entities = sorted({entity for _, entity in folded})
        records = ledger.records(keys, entities)
        ledger.record(run, unrecorded(folded, records))
        # Those recorded before the run died, too: it had not come to marking any.
        ledger.mark_failed(
            run,
            [r.pair for r in folded.values() if r.failure and not _is_outdated(r, records)],
        )
    compact(store, run.run_id)


def _is_outdated(receipt: Receipt, records: Records) -> bool:
    """The ledger knows something newer of the pair."""
    known = records.get(receipt.asset, {}).get(receipt.entity)
    return known is not None and known.timestamp > receipt.finished_at


def _report_failed(instance: dg.DagsterInstance, state: ClaimState) -> None:
    run = instance.get_run_by_id(state.claim.run_id)
    if run is not None and not run.is_finished:
        message = f"the run died ({state.why}); what it had finished is recorded"
        instance.report_run_failed(run, message)
