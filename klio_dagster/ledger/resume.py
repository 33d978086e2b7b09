"""Runs that died: what they finished is written to the ledger before anybody plans."""

import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial

import dagster as dg

from klio_dagster.core.fold import Folded, fold_work, is_news, unrecorded
from klio_dagster.core.letter import Asked, TakenIn
from klio_dagster.core.receipt import Receipt
from klio_dagster.core.record import Records
from klio_dagster.errors import StoreFullError
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.in_flight import all_receipts, finished_receipts, held_pairs
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.claim import Claim, ClaimState
from klio_dagster.store.claims import read_claims, remove_claim
from klio_dagster.store.clock import store_time
from klio_dagster.store.layout import OWN_FOLDER
from klio_dagster.store.local import clean_leftovers
from klio_dagster.store.outbox import forget_published, leave, published
from klio_dagster.store.receipts import compact, compacted
from klio_dagster.store.settling import settling
from klio_dagster.store.store import Store

_ASK_AGAIN_S = 0.2
_LEFTOVER_AGE_S = 60.0  # an upload takes less; a younger one may be another run's


def fold_dead_runs(
    store: Store, ledger: Ledger, instance: dg.DagsterInstance, *, asking: str = ""
) -> list[str]:
    """Record what dead runs finished, report them failed, and free what they held.

    A kill between any two lines repeats the lines before it, which then change nothing.

    Args:
        store: where claims and receipts lie.
        ledger: Dagster's log.
        instance: Dagster's.
        asking: id of the run that asks; it is not reported failed, whatever its other groups did.

    Returns:
        The ids of the runs.

    Raises:
        ConfigError: a claim cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    return clear_away(store, ledger, instance, asking=asking)[0]


def clear_away(
    store: Store,
    ledger: Ledger,
    instance: dg.DagsterInstance,
    *,
    asking: str = "",
    ours: str = "",
) -> tuple[list[str], list[ClaimState]]:
    """As `fold_dead_runs`; with the claims that are left, all of them alive.

    Args:
        store: where claims and receipts lie.
        ledger: Dagster's log.
        instance: Dagster's.
        asking: id of the run that asks.
        ours: id of its work, if it holds a claim; that one is not read.
    """
    cleared: list[ClaimState] = []
    while True:
        states = read_claims(store, now=partial(store_time, store), ours=ours)
        dead = [state for state in states if not state.is_alive]
        if not dead:
            break
        # Of a run's groups one may have died while another works on.
        working = {asking, *(state.claim.run_id for state in states if state.is_alive)}
        before = len(cleared)
        for state in dead:
            with settling(store, state.claim.work_id) as is_ours:
                if is_ours:
                    clear_one(store, ledger, instance, state, working)
                    cleared.append(state)
        if len(cleared) == before:
            time.sleep(_ASK_AGAIN_S)  # another run is at it: what it records is not planned again
    if cleared and (root := store.local_path("")) is not None:
        folders = {asset for state in cleared for asset in state.claim.assets}
        clean_leftovers(root, _LEFTOVER_AGE_S, folders=(OWN_FOLDER, *sorted(folders)))
    return [state.claim.run_id for state in cleared], states


def clear_one(
    store: Store,
    ledger: Ledger,
    instance: dg.DagsterInstance,
    state: ClaimState,
    working: Collection[str],
) -> None:
    """Record what a dead run finished, report it failed, free what it held.

    In this order, so that a kill in between repeats it.

    Args:
        store: where claims and receipts lie.
        ledger: Dagster's log.
        instance: Dagster's.
        state: of its claim.
        working: ids of the runs that are not to be reported failed.

    Raises:
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be written.
    """
    claim = state.claim
    settle(store, ledger, RunIdentity.of_run(instance, claim.run_id), claim)
    if claim.run_id not in working:
        _report_failed(instance, state)
    remove_claim(store, claim.work_id)
    if claim.outbox:  # after the claim: until then all of this may be repeated
        forget_published(store, claim.work_id)


def settle(store: Store, ledger: Ledger, run: RunIdentity, claim: Claim) -> None:
    """Record what a run finished and had not recorded.

    Args:
        store: where its receipts lie.
        ledger: Dagster's log.
        run: what they are recorded under.
        claim: what it held.

    Raises:
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be written.
    """
    work_id = claim.work_id
    found = list(finished_receipts(store, work_id))
    _record(ledger, run, claim, found)
    with suppress(StoreFullError):  # what stays is recorded, and `klio gc` clears it away
        compact(store, work_id)
    # Workers outlive a killed launcher by up to two seconds: what they finished meanwhile was
    # compacted, too, and no plan reads it again. So was what a settler that was killed here found.
    known = {(receipt.pair, receipt.finished_at) for receipt in found}
    late = [r for r in compacted(store, work_id) if (r.pair, r.finished_at) not in known]
    _record(ledger, run, claim, late)
    if claim.outbox:
        left = [TakenIn(asked=Asked(entity=each)) for each in _to_be_passed_on(store, claim)]
        leave(store, claim.outbox, work_id, left)


def _to_be_passed_on(store: Store, claim: Claim) -> list[str]:
    """The entities a work has finished whole and not passed on, in no particular order.

    One that it finished in part is passed on by the run that computes the rest.
    """
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for asset, entity in held_pairs(store, claim, ()):
        wanted[entity].add(asset)
    done: defaultdict[str, set[str]] = defaultdict(set)
    for (asset, entity), receipt in fold_work(all_receipts(store, claim.work_id)).items():
        if receipt.failure is None:
            done[entity].add(asset)
    passed_on = published(store, claim.work_id)
    return [e for e, assets in wanted.items() if assets <= done[e] and e not in passed_on]


def fold_in(ledger: Ledger, run: RunIdentity, claim: Claim, receipts: Sequence[Receipt]) -> None:
    """Record receipts of another run as they come, so far as they are news.

    Args:
        ledger: Dagster's log.
        run: what they are recorded under.
        claim: that they were written for.
        receipts: of its work.

    Raises:
        LedgerError: Dagster's log cannot be written.
    """
    _record(ledger, run, claim, receipts)


def _record(ledger: Ledger, run: RunIdentity, claim: Claim, receipts: Sequence[Receipt]) -> None:
    """Record receipts, so far as they are news."""
    folded = fold_work(receipts)
    if not folded:
        return
    keys = sorted({asset for asset, _ in folded})
    entities = sorted({entity for _, entity in folded})
    records = ledger.records(keys, entities)
    folded = {p: r for p, r in folded.items() if not (r.failure and _is_made(p, records, claim))}
    fresh = unrecorded(folded, records, claim.seen)
    ledger.record(run, [*fresh, *_made_good(folded, records, claim, fresh)])
    # Those recorded before the run died, too: it had not come to marking any.
    failed = [r for r in folded.values() if r.failure and not _is_outdated(r, records, claim)]
    ledger.mark_failed(run, [receipt.pair for receipt in failed])


def _made_good(
    folded: Folded, records: Records, claim: Claim, fresh: Sequence[Receipt]
) -> list[Receipt]:
    """Outputs beside which a failure of the same work finished later, and is recorded already."""
    known = {receipt.pair for receipt in fresh}
    return [
        receipt
        for (asset, entity), receipt in folded.items()
        if receipt.failure is None
        and receipt.pair not in known
        and (record := records.get(asset, {}).get(entity)) is not None
        and record.failed
        and (record.event_id or 0) > claim.seen
    ]


def _is_made(pair: tuple[str, str], records: Records, claim: Claim) -> bool:
    """The ledger has an output that was recorded since the work began: see `fold_work`."""
    known = records.get(pair[0], {}).get(pair[1])
    if known is None or known.failed or not known.materialized:
        return False
    return known.event_id is not None and known.event_id > claim.seen


def _is_outdated(receipt: Receipt, records: Records, claim: Claim) -> bool:
    """The ledger knows something newer of the pair."""
    known = records.get(receipt.asset, {}).get(receipt.entity)
    if known is None or is_news(receipt, known, claim.seen):
        return False
    return known.timestamp > receipt.finished_at


def _report_failed(instance: dg.DagsterInstance, state: ClaimState) -> None:
    run = instance.get_run_by_id(state.claim.run_id)
    if run is not None and not run.is_finished:
        message = f"the run died ({state.why}); what it had finished is recorded"
        instance.report_run_failed(run, message)
