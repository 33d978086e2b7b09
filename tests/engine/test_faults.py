"""What one entity does costs one asset of that entity: in real workers, killed for real."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.place import without_place
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.store.store import Store
from tests.engine import fault_jobs as jobs
from tests.engine.driven import computed, written

Receipts = Mapping[tuple[str, str], Receipt]
FIRST = EntityAsset("first", jobs.named, output=Json())


def asset(transform: Any, name: str = "made", **fields: Any) -> EntityAsset:
    return EntityAsset(name, transform, output=Json(), **fields)


def said_earlier(receipt: Receipt) -> list[str]:
    """The errors of the attempts before, without the lines they were raised in."""
    return [without_place(error)[0] for error in receipt.earlier]


def failures(receipts: Receipts) -> dict[tuple[str, str], Failure]:
    return {pair: r.failure for pair, r in receipts.items() if r.failure}


def outputs(store: Store, name: str, entities: Sequence[str]) -> list[dict[str, Any]]:
    return [Json().load(store.get(f"{name}/{e}.json"), e) for e in entities]


def named_processes(names: Sequence[str]) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [p for p in found if " ".join(p.info["cmdline"] or []) in names]


def test_a_transient_error_is_tried_again_and_both_are_told(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    params = {"folder": str(tmp_path), "times": 1}
    made = asset(jobs.fails_at_first, params=params)
    after = asset(jobs.of_made, "after", deps=["made"])

    receipts, _ = computed(store, written(store, [made, after], ["a", "b", "bad"]))

    assert set(failures(receipts)) == {("made", "bad"), ("after", "bad")}
    for entity in ("a", "b"):
        receipt = receipts["made", entity]
        assert receipt.attempts == 2
        assert said_earlier(receipt) == [f"ConnectionError: call 1 of {entity}"]
        assert receipts["after", entity].attempts == 1
    bad = receipts["made", "bad"]
    assert bad.failure is not None
    assert (bad.failure.type, bad.failure.message) == ("ConnectionError", "call 3 of bad")
    assert bad.failure.transient
    assert bad.failure.place.startswith("tests/engine/fault_jobs.py:")
    assert said_earlier(bad) == [f"ConnectionError: call {n} of bad" for n in (1, 2)]


def test_an_error_that_is_not_transient_is_not_tried_again(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    params = {"folder": str(tmp_path), "times": 1}
    made = asset(jobs.fails_at_first, params=params, transient=[LookupError])

    receipts, _ = computed(store, written(store, [made], ["a"]))

    assert receipts["made", "a"].attempts == 1
    assert failures(receipts)["made", "a"].transient is False


def test_classes_and_functions_of_the_user_are_found_by_the_workers(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    made = asset(jobs.busy, params={"folder": str(tmp_path)}, transient=[jobs.Busy])
    broken = asset(
        jobs.busy, "broken", params={"folder": str(tmp_path)}, transient=jobs.knows_nothing
    )
    (tmp_path / "made").mkdir()

    receipts, _ = computed(store, written(store, [made], ["a"]))
    others, _ = computed(store, written(store, [broken], ["b"], run="other"))

    assert receipts["made", "a"].attempts == 2
    assert failures(receipts) == {}
    raised = failures(others)["broken", "b"]
    assert (raised.type, raised.message) == ("RuntimeError", "what is this")


def test_a_time_limit_does_not_count_the_wait(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    params = {"folder": str(tmp_path), "times": 4}
    made = asset(jobs.fails_at_first, params=params, retries=4, timeout_s=0.9)

    receipts, _ = computed(store, written(store, [made], ["a", "b"]))  # waits up to 15 s in all

    assert failures(receipts) == {}
    assert {r.attempts for r in receipts.values()} == {5}


def test_a_death_is_not_tried_again_and_tells_the_attempts_before(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    made = asset(jobs.busy_then_dies, params={"folder": str(tmp_path)}, retries=5)

    receipts, _ = computed(store, written(store, [made], ["a"]))

    receipt = receipts["made", "a"]
    assert failures(receipts)["made", "a"].type == "SIGKILL"
    assert said_earlier(receipt) == ["ConnectionError: come again"]
    assert 0 < receipt.started_at < receipt.finished_at


POISON = {
    "segfault": ("SIGSEGV", "SIGSEGV while computing 'poison'"),
    "osexit": ("WorkerExit", "code 9"),
    "eats": ("MemoryLimit", "more than memory=572.2 MiB while computing 'poison'"),
    "childeats": ("MemoryLimit", "more than memory=572.2 MiB while computing 'poison'"),
    "deaf": ("Timeout", "timeout_s=6"),
    "printsanddies": ("WorkerExit", "code 8"),
}
HARMLESS = ["prints-1", "threads-1", "leaves-1", "forks-1"]


def test_poison_costs_one_asset_of_one_entity_each(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    poison = asset(jobs.poison, "poison", deps=["first"], memory="600MB", timeout_s=6)
    chain = [
        FIRST,
        poison,
        asset(jobs.of_poison, "after", deps=["poison"]),
        asset(jobs.of_first, "beside", deps=["first"]),
    ]
    entities = [f"good-{n}" for n in range(10)]
    for position, kind in enumerate([*POISON, *(name[:-2] for name in HARMLESS)]):
        entities.insert(2 * position, f"{kind}-1")

    receipts, said = computed(store, written(store, chain, entities))

    assert len(receipts) == len(entities) * len(chain)
    failed = failures(receipts)
    assert {pair for pair, f in failed.items() if not f.is_blocked} == {
        ("poison", f"{kind}-1") for kind in POISON
    }
    assert {pair for pair, f in failed.items() if f.is_blocked} == {
        ("after", f"{kind}-1") for kind in POISON
    }
    for kind, (name, message) in POISON.items():
        failure = failed["poison", f"{kind}-1"]
        assert (failure.type, message in failure.message) == (name, True), failure
        assert "\n" not in failure.message
    assert said.count("x") < 400_000, "hundreds of megabytes were passed on"
    for entity in ("prints-1", "printsanddies-1"):
        (note,) = receipts["poison", entity].notes
        assert "MB, of which the log has the first 64 KiB" in note
        assert 95 <= float(note.split()[1]) <= 105
    assert named_processes([f"sleep {n}" for n in (611, 612, 613, 614)]) == []
    assert "leaves-1: left" in said


def test_what_goes_on_after_a_death_knows_the_versions_of_what_was_done_before(
    tmp_path: Path,
) -> None:
    store = Store.open(str(tmp_path))
    chain = [
        FIRST,
        asset(jobs.poison, "poison", deps=["first"]),
        asset(jobs.of_first, "beside", deps=["first"]),
    ]

    receipts, _ = computed(store, written(store, chain, ["segfault-1"]))

    version = receipts["first", "segfault-1"].data_version
    assert receipts["beside", "segfault-1"].inputs == {"first": version}
    assert version


def test_a_failed_asset_has_the_time_its_attempt_began(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    made = asset(jobs.poison, deps=["first"], timeout_s=1)

    receipts, _ = computed(store, written(store, [FIRST, made], ["deaf-1"]))

    receipt = receipts["made", "deaf-1"]
    assert 0.9 < receipt.finished_at - receipt.started_at < 10


def test_a_process_of_a_class_stays_and_its_worker_too(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    entities = [f"e-{n}" for n in range(12)]

    receipts, said = computed(store, written(store, [asset(jobs.WithServer)], entities))

    assert failures(receipts) == {}
    made = outputs(store, "made", entities)
    assert all(each["is_alive"] for each in made)
    assert len({each["pid"] for each in made}) <= 2
    assert "left" not in said
    assert named_processes(["sleep 615"]) == []


def test_what_a_child_shares_with_its_worker_counts_once(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    made = asset(jobs.forks_while_large, memory="500MB")

    receipts, _ = computed(store, written(store, [made], ["a"]))

    assert failures(receipts) == {}


def test_what_an_asset_has_freed_does_not_count_for_the_next(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    much = asset(jobs.uses_much_for_a_moment, "much", memory="1GiB")
    little = asset(jobs.rests, "little", memory="200MB")

    receipts, _ = computed(store, written(store, [much, little], ["a", "b", "c"], workers=1))

    assert failures(receipts) == {}
    assert {r.attempts for r in receipts.values()} == {1}


def test_memory_that_entities_leak_is_not_laid_at_the_door_of_the_last(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    entities = [f"e-{n}" for n in range(12)]
    made = asset(jobs.leaks, memory="300MB")

    receipts, _ = computed(store, written(store, [made], entities, workers=1))

    assert failures(receipts) == {}
    attempts = Counter(r.attempts for r in receipts.values())
    assert attempts[1] > attempts[2] > 0
    earlier = next(r.earlier for r in receipts.values() if r.earlier)
    assert "MemoryLimit: it held" in earlier[0]
    assert "before" in earlier[0]
    assert len({each["pid"] for each in outputs(store, "made", entities)}) >= 2


def test_without_a_limit_nobody_looks(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    made = asset(jobs.leaks, memory=None)

    receipts, _ = computed(store, written(store, [made], [f"e-{n}" for n in range(8)], workers=1))

    assert failures(receipts) == {}
    assert {r.attempts for r in receipts.values()} == {1}


@pytest.mark.parametrize("entity", ["deaf-1", "eats-1"])
def test_no_process_is_left_of_a_worker_that_was_killed(tmp_path: Path, entity: str) -> None:
    store = Store.open(str(tmp_path))
    made = asset(jobs.poison, deps=["first"], timeout_s=1.5, memory="400MB")

    computed(store, written(store, [FIRST, made], [entity, "good-1"]))

    (pid,) = {each["pid"] for each in outputs(store, "made", ["good-1"])}
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
