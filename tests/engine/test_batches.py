"""Many entities in one call: the same bytes, and still one bad one costs itself alone."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.store.store import Store
from klio_dagster.testing import run_chain, run_chains
from tests.engine import fault_jobs as jobs
from tests.engine.driven import computed, written

FIRST = EntityAsset("first", jobs.named, output=Json())
ENTITIES = [f"e-{n:02}" for n in range(23)]


def batch(transform: Any, *, size: int = 8, name: str = "batch", **fields: Any) -> EntityAsset:
    given = {"deps": ["first"], "output": Json(), "batch_size": size, **fields}
    return EntityAsset(name, transform, **given)


def failures(receipts: Mapping[Any, Receipt]) -> dict[Any, Failure]:
    return {key: r.failure for key, r in receipts.items() if r.failure}


def stored(store: Store, name: str) -> dict[str, bytes]:
    return {i.path: store.get(i.path) for i in store.list() if i.path.startswith(f"{name}/")}


def test_batches_store_the_bytes_that_one_by_one_would(tmp_path: Path) -> None:
    batched, single = Store.open(str(tmp_path / "batched")), Store.open(str(tmp_path / "single"))
    fields: dict[str, Any] = {"params": {"mark": "x"}}
    after = EntityAsset("after", jobs.of_first, deps=["first"], output=Json())
    many = batch(jobs.together, name="tags", **fields)
    few = batch(jobs.one, size=1, name="tags", **fields)

    receipts, said = computed(batched, written(batched, [FIRST, many, after], ENTITIES))
    computed(single, written(single, [FIRST, few, after], ENTITIES))

    assert failures(receipts) == {}
    assert len(receipts) == 3 * len(ENTITIES)
    assert stored(batched, "tags") == stored(single, "tags")
    assert len(stored(batched, "tags")) == len(ENTITIES)
    # Not by lines: what two workers print at once may come in pieces.
    assert sorted(re.findall(r"batch of (\d+)", said)) == ["7", "8", "8"]
    versions = {e: receipts["first", e].data_version for e in ENTITIES}
    assert all(receipts["tags", e].inputs == {"first": versions[e]} for e in ENTITIES)


BAD = {
    "raises": "ValueError: raises-1 is bad (tests/engine/fault_jobs.py:205)",
    "dies": "SIGSEGV: the worker process was ended by SIGSEGV while computing 'batch'",
    "hangs": "Timeout: it took longer than timeout_s=0.5 while computing 'batch'",
    "short": "EntityError: asset 'batch': the transform returned 0 values for 1 entity; "
    "return a list with one value for each, in their order",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_entity_in_a_batch_fails_alone(tmp_path: Path, kind: str) -> None:
    store = Store.open(str(tmp_path))
    good = [f"good-{n}" for n in range(7)]
    entities = [*good[:3], f"{kind}-1", *good[3:]]
    chain = [
        FIRST,
        batch(jobs.together_unless_bad, timeout_s=0.5),
        EntityAsset("after", jobs.of_batch, deps=["batch"], output=Json()),
        EntityAsset("beside", jobs.of_first, deps=["first"], output=Json()),
    ]

    receipts, _ = computed(store, written(store, chain, entities, workers=1))

    assert len(receipts) == len(chain) * len(entities)
    failed = failures(receipts)
    assert set(failed) == {("batch", f"{kind}-1"), ("after", f"{kind}-1")}
    assert str(failed["batch", f"{kind}-1"]) == BAD[kind]
    for entity in entities:
        assert receipts["batch", entity].attempts == 2
        assert receipts["first", entity].attempts == receipts["after", entity].attempts == 1
    assert {Json().load(store.get(f"batch/{e}.json"), e)["n"] for e in good} == {1}


def test_what_cannot_be_stored_fails_alone_without_another_call(tmp_path: Path) -> None:
    chain = [FIRST, batch(jobs.together_unless_bad)]

    done = run_chains(chain, ["a", "unsayable-1", "b"])

    assert failures({e: c.receipts["batch"] for e, c in done.items()}).keys() == {"unsayable-1"}
    assert {c.receipts["batch"].attempts for c in done.values()} == {1}


def test_an_input_that_is_missing_fails_alone_without_another_call() -> None:
    chain = [FIRST, batch(jobs.lengths)]
    before = run_chains(chain, ["a", "c"], select=["first"])

    done = run_chains(chain, ["a", "b", "c"], select=["batch"], store=before["a"].store)

    assert failures({e: c.receipts["batch"] for e, c in done.items()}).keys() == {"b"}
    assert done["a"].load("batch") == done["c"].load("batch") == {"n": 2}


def test_a_blocked_entity_is_no_part_of_a_batch() -> None:
    first = EntityAsset("first", jobs.named_unless_bad, output=Json())

    done = run_chains([first, batch(jobs.lengths)], ["a", "bad", "c"])

    failure = done["bad"].receipts["batch"].failure
    assert failure is not None
    assert failure.is_blocked
    assert done["a"].load("batch") == {"n": 2}


def test_a_batch_that_fails_with_a_transient_error_is_tried_again_whole(tmp_path: Path) -> None:
    params = {"folder": str(tmp_path)}
    flaky = batch(jobs.flaky_together, deps=[], params=params, size=3)

    done = run_chains([flaky], ["a", "b", "c"])

    assert {c.receipts["batch"].attempts for c in done.values()} == {2}
    assert done["a"].load("batch") == {"of": 3}
    (earlier,) = done["a"].receipts["batch"].earlier
    assert earlier.startswith("ConnectionError: reset (tests/engine/fault_jobs.py:")
    assert earlier.endswith(") (of 3 together)")


def test_a_step_is_computed_for_each_entity_of_a_batch() -> None:
    step = EntityStep("first", jobs.named)

    done = run_chains([step, batch(jobs.together)], ["a", "b"])

    assert [done[e].load("batch") for e in ("a", "b")] == [
        {"id": e, "first": e, "mark": ""} for e in ("a", "b")
    ]


def test_sources_come_as_a_list_of_what_the_annotation_says() -> None:
    pattern = "notes/{entity}.txt"
    text = batch(jobs.clips_together, deps=[], source=pattern)
    sources = {e: {pattern: e.encode()} for e in ("a", "b")}

    done = run_chains([text], ["a", "b"], sources=sources)

    assert [done[e].load("batch") for e in ("a", "b")] == [{"text": "a"}, {"text": "b"}]


def test_a_user_tests_a_batch_transform_with_one_entity() -> None:
    computed_one = run_chain([FIRST, batch(jobs.together)], "a")

    assert computed_one.load("batch") == {"id": "a", "first": "a", "mark": ""}


def test_a_transform_that_returns_no_list_is_told_what_is_expected() -> None:
    computed_one = run_chain([FIRST, batch(jobs.not_a_list, deps=[])], "a")

    assert str(computed_one.receipts["batch"].failure) == (
        "EntityError: asset 'batch': the transform returned dict for 1 entity; "
        "with batch_size it returns a list, one value for each"
    )


def sizes_of(receipts: Sequence[Receipt]) -> list[str]:
    return [line for r in receipts for line in r.earlier]


def test_memory_that_a_batch_takes_together_is_not_needed_one_by_one(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    chain = [batch(jobs.eats_for_each, deps=[], memory="400MB", size=6)]

    receipts, _ = computed(store, written(store, chain, ENTITIES[:6], workers=1))

    assert failures(receipts) == {}
    assert {r.attempts for r in receipts.values()} == {2}
    assert all("MemoryLimit: it held" in line for line in sizes_of(list(receipts.values())))
