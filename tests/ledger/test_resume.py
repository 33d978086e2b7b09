"""What a run that died had finished, taken into the ledger by another."""

from dataclasses import replace

import pytest

from klio_dagster.core.receipt import Failure
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.ledger import ledger_of
from klio_dagster.ledger.resume import fold_in, settle
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.receipts import ReceiptPart, compact
from klio_dagster.store.store import Store
from tests.ledger.catalogue import new_run, recording


def test_what_a_worker_finishes_while_its_dead_run_is_recorded_is_recorded_too(tmp_path, instance):
    store, run = Store.open(str(tmp_path / "store")), new_run()
    claim = open_claim(store, run.run_id, assets=["recording"])
    worker = ReceiptPart(store, run.run_id, "worker")
    worker.write(recording("a"))
    ledger = ledger_of(instance, describe=metadata_of)
    record = ledger.record

    def record_and_go_on(identity: RunIdentity, receipts):
        record(identity, receipts)
        if [receipt.entity for receipt in receipts] == ["a"]:
            worker.write(recording("b"))

    ledger.record = record_and_go_on

    settle(store, ledger, run, claim.claim)

    assert set(ledger.records(["recording"], None)["recording"]) == {"a", "b"}


def test_what_was_compacted_by_a_settler_that_was_killed_then_is_recorded_by_the_next(
    tmp_path, instance
):
    store, run = Store.open(str(tmp_path / "store")), new_run()
    claim = open_claim(store, run.run_id, assets=["recording"])
    ReceiptPart(store, run.run_id, "worker").write(recording("a"))
    compact(store, run.run_id)
    ledger = ledger_of(instance, describe=metadata_of)

    settle(store, ledger, run, claim.claim)

    assert set(ledger.records(["recording"], None)["recording"]) == {"a"}


@pytest.mark.parametrize("order", [1, -1], ids=["output first", "failure first"])
@pytest.mark.parametrize("failed_at", [1.0, 3.0], ids=["failed before", "failed after"])
@pytest.mark.parametrize("is_together", [True, False], ids=["together", "one by one"])
def test_of_two_processes_that_computed_the_same_the_output_stands(
    tmp_path, instance, order, failed_at, is_together
):
    """A service in doubt gives a bundle to a second process; which is read first is chance."""
    store, run = Store.open(str(tmp_path / "store")), new_run()
    ledger = ledger_of(instance, describe=metadata_of)
    claim = open_claim(store, run.run_id, assets=["recording"], seen=0).claim
    output = replace(recording("a"), run=run.run_id, finished_at=2.0)
    failure = Failure("TimeoutError", "it took too long")
    both = [output, replace(output, finished_at=failed_at, failure=failure)][::order]

    for receipts in [both] if is_together else [[each] for each in both]:
        fold_in(ledger, run, claim, receipts)

    record = ledger.records(["recording"], ["a"])["recording"]["a"]
    assert (record.materialized, record.failed) == (True, False)
    assert record.data_version == output.data_version
