"""What a run says of itself in its log."""

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.graph import Chain
from klio_dagster.core.plan import Knowledge, plan
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.core.request import Request
from klio_dagster.defs.summary import Summary


def measure(entity: object) -> int:
    return 1


def test_the_line_in_the_log_counts_all_that_was_asked_for_also_what_waits():
    chain = Chain([EntityAsset("size", measure, output=Json())])
    held = Knowledge(records={}, code_versions={"size": "1"}, in_flight={("size", "two")})
    planned = plan(Request(entities=("one", "two")), chain, ["size"], held)
    summary = Summary(planned, keys={"size": "team/size"}, refused={})
    summary.materialized["team/size"] += 1

    assert str(summary) == "team/size: 1 materialized, 0 skipped, 0 failed, 1 waiting"


def test_an_output_beside_a_failure_is_counted_in_its_place():
    def receipt(entity: str, failure: Failure | None = None) -> Receipt:
        return Receipt(run="r", entity=entity, asset="size", finished_at=1.0, failure=failure)

    chain = Chain([EntityAsset("size", measure, output=Json())])
    known = Knowledge(records={}, code_versions={"size": "1"})
    planned = plan(Request(entities=("one", "two", "three")), chain, ["size"], known)
    summary = Summary(planned, keys={"size": "size"}, refused={})
    too_long = Failure("TimeoutError", "it took too long")
    summary.add([receipt("one", too_long), receipt("two", too_long), receipt("three")])

    summary.make_good([receipt("one"), receipt("three")])

    assert summary.failed_pairs == [("size", "two")]
    assert (summary.materialized["size"], summary.failed["size"]) == (2, 1)
