"""What planning costs the store does not grow with the runs and entities there were."""

from klio_dagster.core.request import Request
from klio_dagster.defs.knowledge import gather
from klio_dagster.ledger.in_flight import in_flight
from klio_dagster.ledger.resume import fold_dead_runs
from tests.flows.catalogue import Catalogue, the_group, tracks
from tests.store.counting import Counting


def test_a_recorded_run_is_not_read_by_the_next_plan(computed: Catalogue) -> None:
    made = the_group(tracks())
    names = [asset.name for asset in made.chain.assets]
    store = Counting.at(computed.store)

    assert fold_dead_runs(store, computed.ledger, computed.instance) == []
    gathered = gather(
        made,
        Request(entities=("a", "b")),
        names,
        ledger=computed.ledger,
        store=store,
        partitioned=(),
        in_flight=in_flight(store, names, ["a", "b"]),
    )

    assert {
        verdict.reason for v in gathered.plan(made).verdicts.values() for verdict in v.values()
    } == {"up_to_date"}
    # The claims once by each, the sources in one listing, and no receipt, manifest or output.
    assert store.asked == ["_klio/open/", "_klio/open/", "_klio/removed/"]
    (receipts,) = computed.store.list("_klio/receipts/")
    assert receipts.path.endswith("/compacted.jsonl.gz")
