"""A manifest carried out in this process: what dies elsewhere needs no driver to be started."""

from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.engine.chain import EntityChain
from klio_dagster.engine.driver_process import OnOutput
from klio_dagster.engine.receiving import OnReceipts
from klio_dagster.engine.remote.told import Tell
from klio_dagster.store.receipts import ReceiptPart, ReceiptTail
from klio_dagster.store.store import Store


def carry_out(
    manifest: Manifest,
    store: Store,
    *,
    on_receipts: OnReceipts,
    on_output: OnOutput,
    on_job: Tell,
) -> None:
    """What `engine.launch` has a driver and its workers do, one entity after the other."""
    tail = ReceiptTail(store, manifest.run)
    part = ReceiptPart(store, manifest.run, "here")
    chain = EntityChain(manifest, store, part.write, begin=lambda _: None)
    chain.import_transforms()
    for path in manifest.parts:
        for line in store.get(path).splitlines():
            chain.run([Task.from_line(line)])
            for receipts in tail.new():
                on_receipts(receipts)
    part.close()
