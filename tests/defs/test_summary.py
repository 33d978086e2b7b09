"""What a run says of itself in its log."""

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.graph import Chain
from klio_dagster.core.plan import Knowledge, plan
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
