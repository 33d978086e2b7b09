"""What a run that died had finished, taken into the ledger by another."""

from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.ledger import ledger_of
from klio_dagster.ledger.resume import settle
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
