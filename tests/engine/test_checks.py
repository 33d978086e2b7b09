"""Checks in the chain: what they get, what they may answer, and what becomes of the output."""

from dataclasses import replace

import pytest

from klio_dagster.codecs.audio import Audio
from klio_dagster.codecs.json import Json
from klio_dagster.codecs.table import Table
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.check import Check
from klio_dagster.core.graph import Chain
from klio_dagster.core.manifest import Manifest, Task, part_specs
from klio_dagster.core.receipt import Receipt
from klio_dagster.engine.chain import EntityChain
from klio_dagster.testing import run_chain
from tests.engine import check_jobs as jobs

LEVELS = "tests.codecs.table_schemas:Levels"


def alone(*checks: Check) -> EntityAsset:
    return EntityAsset("alone", jobs.alone, output=Json(), checks=checks)


def test_a_check_gets_the_value_as_a_consumer_gets_it() -> None:
    asset = EntityAsset("clip", jobs.faint, output=Audio(), checks=[Check(jobs.has_sound)])

    receipt = run_chain([asset]).receipts["clip"]

    assert [e.passed for e in receipt.checks] == [False]


def test_what_a_check_does_to_a_table_reaches_no_consumer() -> None:
    table = EntityAsset("levels", jobs.levels, output=Table(), checks=[Check(jobs.adds_a_column)])
    total = EntityAsset("total", jobs.total, deps=["levels"], output=Json())

    assert run_chain([table, total]).load("total") == {"columns": ["peak", "bars"], "bars": "4"}


def test_a_check_may_answer_with_what_it_found_or_with_a_truth_value_of_numpy() -> None:
    asset = alone(Check(jobs.about), Check(jobs.numpy_truth))

    found, truth = run_chain([asset], "track-7").receipts["alone"].checks

    assert (found.passed, found.metadata, found.description) == (True, {"n": 3}, "track-7 is fine")
    assert truth.passed is True


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (jobs.raises, "it raised KeyError: 'nothing there'"),
        (jobs.forgets_to_return, "it returned NoneType; return True, False or a CheckResult"),
    ],
)
def test_a_check_that_cannot_tell_has_not_passed(function, says) -> None:
    blocking = run_chain([alone(Check(function))]).receipts["alone"]
    warning = run_chain([alone(Check(function, severity="warn"))]).receipts["alone"]

    assert blocking.failure is not None
    assert says in blocking.failure.message
    assert warning.failure is None
    assert warning.checks[0].passed is False
    assert function.__name__ in str(warning.checks[0].metadata["traceback"]) or "None" in says


def test_a_refused_output_is_not_there_and_only_its_consumers_are_blocked() -> None:
    table = EntityAsset("levels", jobs.levels, output=Table(schema=LEVELS), params={"peak": -1.0})
    total = EntityAsset("total", jobs.total, deps=["levels"], output=Json())

    computed = run_chain([table, total, alone()])

    refused = computed.receipts["levels"]
    assert refused.failure is not None
    assert refused.failure.type == "CheckFailedError"
    assert refused.failure.traceback == ""
    (broken,) = refused.checks
    assert broken.description == "column 'peak' breaks '>= 0' in 1 of 1 rows, first in row 0: -1.0"
    assert broken.metadata["peak: >= 0"] == "in 1 of 1 rows, first in row 0: -1.0"
    assert not computed.store.exists("levels/test.parquet")
    assert computed.receipts["total"].failure is not None
    assert computed.receipts["total"].failure.is_blocked
    assert computed.receipts["alone"].failure is None


def test_a_table_that_only_warns_is_stored_as_it_came() -> None:
    codec = Table(schema=LEVELS, severity="warn")
    broken = EntityAsset("levels", jobs.levels, output=codec, params={"peak": -1.0})
    total = EntityAsset("total", jobs.total, deps=["levels"], output=Json())

    computed = run_chain([broken, total])

    (evaluation,) = computed.receipts["levels"].checks
    assert (evaluation.passed, evaluation.severity) == (False, "warn")
    assert computed.load("total") == {"columns": ["peak", "bars"], "bars": "4"}


def test_a_stored_table_is_looked_at_by_its_schema_too() -> None:
    loose = Table(schema=LEVELS, severity="warn")
    strict = Table(schema=LEVELS)
    bars = {"peak": -1.0}
    stored = run_chain([EntityAsset("levels", jobs.levels, output=loose, params=bars)])
    again = EntityAsset("levels", jobs.levels, output=strict, params=bars)
    receipts: list[Receipt] = []
    parts = part_specs(Chain([again]), ["levels"], {"levels": "c"}, {})
    manifest = Manifest(
        run="r",
        store=stored.store.url,
        parts=(),
        chain=[replace(part, is_looked_at=True) for part in parts],
        engine={"kind": "local"},
    )

    chain = EntityChain(manifest, stored.store, receipts.append, lambda _beginning: None)
    chain.run([Task(entity="test", run=["levels"])])

    (receipt,) = receipts
    assert receipt.is_look
    assert receipt.failure is None
    assert [(e.check, e.passed, e.severity) for e in receipt.checks] == [
        ("schema", False, "blocking")
    ]


def test_the_columns_of_a_table_are_told_with_what_its_schema_says_of_them() -> None:
    kept = EntityAsset("levels", jobs.levels, output=Table(schema=LEVELS))

    receipt = run_chain([kept]).receipts["levels"]

    told = {c.name: (c.type, c.nullable, c.constraints) for c in receipt.columns}
    assert told == {"peak": ("double", False, (">= 0",)), "bars": ("int64", False, ("> 0",))}
    assert [(e.check, e.passed) for e in receipt.checks] == [("schema", True)]
