"""The decision table of DESIGN 4.3, row by row: which facts decide, and which come first."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import pytest

from klio_dagster.core.plan import Facts, decide

FINISHED = Facts(
    valid_id=True,
    pinged=False,
    in_flight=False,
    upstream_waits=False,
    upstream_fails=False,
    input_missing=False,
    forced=False,
    upstream_runs=False,
    materialized=True,
    failed=False,
    output_gone=False,
    code_changed=False,
    input_changed=False,
    removed=False,
    may_ask_upstream=False,
)
ROWS: Sequence[tuple[str, Mapping[str, bool], tuple[str, str]]] = (
    ("1 invalid_id", {"valid_id": False}, ("refuse", "invalid_id")),
    ("1 removed", {"removed": True}, ("refuse", "removed")),
    ("2 ping", {"pinged": True}, ("skip", "ping")),
    ("3 in_flight", {"in_flight": True}, ("wait", "in_flight")),
    ("4 upstream_waits", {"upstream_waits": True}, ("wait", "upstream_waits")),
    ("4 upstream_failed", {"upstream_fails": True}, ("fail", "upstream_failed")),
    (
        "5 input_requested",
        {"input_missing": True, "forced": True, "may_ask_upstream": True},
        ("wait", "input_requested"),
    ),
    ("5 input_missing", {"input_missing": True, "forced": True}, ("fail", "input_missing")),
    ("6 forced", {"forced": True}, ("run", "forced")),
    ("7 upstream", {"upstream_runs": True}, ("run", "upstream")),
    ("8 missing", {"materialized": False}, ("run", "missing")),
    ("8 failed", {"failed": True}, ("run", "failed")),
    ("8 output_gone", {"output_gone": True}, ("run", "output_gone")),
    ("9 code_changed", {"code_changed": True}, ("run", "code_changed")),
    ("9 input_changed", {"input_changed": True}, ("run", "input_changed")),
    ("10 up_to_date", {}, ("skip", "up_to_date")),
)
WANTED = [row for row in ROWS if row[2][0] == "run"]


@pytest.mark.parametrize(
    ("facts", "verdict"), [pytest.param(facts, verdict, id=row) for row, facts, verdict in ROWS]
)
def test_each_row_of_the_table_decides(facts: Mapping[str, bool], verdict: tuple[str, str]):
    assert decide(FINISHED._replace(**facts)) == verdict


@pytest.mark.parametrize(
    ("first", "later", "verdict"),
    [
        pytest.param(one[1], other[1], one[2], id=f"{one[0]} before {other[0]}")
        for one, other in combinations(ROWS, 2)
    ],
)
def test_where_two_rows_apply_the_upper_one_decides(
    first: Mapping[str, bool], later: Mapping[str, bool], verdict: tuple[str, str]
):
    assert decide(FINISHED._replace(**later)._replace(**first)) == verdict


@pytest.mark.parametrize("facts", [pytest.param(row[1], id=row[0]) for row in WANTED])
def test_a_missing_input_fails_whatever_would_run(facts: Mapping[str, bool]):
    verdict = decide(FINISHED._replace(input_missing=True, **facts))

    assert verdict == ("fail", "input_missing")


@pytest.mark.parametrize("facts", [pytest.param(row[1], id=row[0]) for row in WANTED])
def test_a_missing_input_that_another_job_makes_is_asked_for_whatever_would_run(
    facts: Mapping[str, bool],
):
    verdict = decide(FINISHED._replace(input_missing=True, may_ask_upstream=True, **facts))

    assert verdict == ("wait", "input_requested")


def test_who_may_ask_upstream_asks_for_nothing_that_is_there_or_not_needed():
    finished = FINISHED._replace(may_ask_upstream=True)

    assert decide(finished) == ("skip", "up_to_date")
    assert decide(finished._replace(input_missing=True)) == ("skip", "up_to_date")
    assert decide(finished._replace(forced=True)) == ("run", "forced")


def test_a_missing_input_does_not_undo_finished_work():
    assert decide(FINISHED._replace(input_missing=True)) == ("skip", "up_to_date")
