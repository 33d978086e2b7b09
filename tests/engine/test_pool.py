import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.errors import RunError
from klio_dagster.store.clock import passed_s
from klio_dagster.store.layout import manifest_head
from klio_dagster.store.store import Store
from klio_dagster.testing import run_chain
from tests.engine import jobs
from tests.engine.driven import computed, written

FIRST = EntityAsset("first", jobs.number, output=Json())
BAD = EntityAsset("bad", jobs.sometimes_bad, deps=["first"], output=Json(), timeout_s=1.0)
AFTER_BAD = EntityAsset("after_bad", jobs.with_bad, deps=["bad"], output=Json())
BESIDE = EntityAsset("beside", jobs.doubled, deps=["first"], output=Json())
LAST = EntityAsset("last", jobs.length, deps=["first"], output=Json())
CHAIN = [FIRST, BAD, AFTER_BAD, BESIDE, LAST]

CAUSES = {
    "raise": ("ZeroDivisionError", "division by zero"),
    "exit": ("SystemExit", "sys.exit(4)"),
    "os-exit": ("WorkerExit", "code 3"),
    "kill": ("SIGKILL", "SIGKILL while computing 'bad'"),
    "segfault": ("SIGSEGV", "SIGSEGV while computing 'bad'"),
    "realtime": ("signal 37", "signal 37 while computing 'bad'"),
    "hang": ("Timeout", "timeout_s=1"),
    "none": ("EntityError", "None"),
    "wrong-type": ("EntityError", "set"),
    "child": ("WorkerExit", "code 5"),
}


def test_a_bad_entity_costs_one_asset_of_one_entity_and_says_why(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    entities = [f"good-{n}" for n in range(12)]
    for position, kind in enumerate(CAUSES):
        entities.insert(2 * position, f"{kind}-1")

    receipts, _ = computed(store, written(store, CHAIN, entities))

    assert len(receipts) == len(entities) * len(CHAIN)
    failed = {pair: r.failure for pair, r in receipts.items() if r.failure}
    assert {pair for pair, failure in failed.items() if not failure.is_blocked} == {
        ("bad", f"{kind}-1") for kind in CAUSES
    }
    assert {pair for pair, failure in failed.items() if failure.is_blocked} == {
        ("after_bad", f"{kind}-1") for kind in CAUSES
    }
    for kind, (name, message) in CAUSES.items():
        failure = failed["bad", f"{kind}-1"]
        assert failure.type == name
        assert message in failure.message
        assert "\n" not in failure.message


def test_an_attempt_that_ended_its_worker_began_when_its_first_part_did(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    dying = [
        EntityStep("slow", jobs.slow),
        EntityAsset("dying", jobs.dies_after, deps=["slow"], output=Json()),
    ]

    receipts, _ = computed(store, written(store, [*CHAIN, *dying], ["hang-1"]))

    took_s = {
        asset: receipts[asset, "hang-1"].finished_at - receipts[asset, "hang-1"].started_at
        for asset in ("bad", "dying")
    }
    assert 1.0 <= took_s["bad"] < 30  # its time limit
    assert 0.2 <= took_s["dying"] < 30  # the step before it slept as long


def test_what_an_entity_prints_is_shown_cut_and_harms_nobody(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    entities = ["good-1", "print-1", "good-2"]

    receipts, printed = computed(store, written(store, CHAIN, entities))

    assert not [r for r in receipts.values() if r.failure]
    assert printed.count("x") == 64 * 1024
    assert "print-1: printed more than 64 KiB" in printed


def test_a_class_is_set_up_once_a_worker_with_the_params_of_its_constructor(
    tmp_path: Path,
) -> None:
    store = Store.open(str(tmp_path))
    model = EntityAsset("model", jobs.Model, output=Json(), params={"offset": 40, "weight": 2})
    entities = [f"e-{n}" for n in range(20)]

    computed(store, written(store, [model], entities))

    outputs = [Json().load(store.get(f"model/{e}.json"), e) for e in entities]
    assert {output["setups"] for output in outputs} == {1}
    assert {output["sum"] for output in outputs} == {42}
    assert 1 <= len({output["pid"] for output in outputs}) <= 2


def test_both_workers_are_kept_busy(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    slow = EntityAsset("slow", jobs.slow, output=Json())
    entities = [f"e-{n}" for n in range(6)]

    computed(store, written(store, [slow], entities))

    pids = [Json().load(store.get(f"slow/{e}.json"), e)["pid"] for e in entities]
    assert len(set(pids)) == 2


def test_a_transform_that_cannot_be_imported_fails_its_entities_with_one_line(
    tmp_path: Path,
) -> None:
    store = Store.open(str(tmp_path))
    manifest = written(store, [FIRST, BESIDE], ["e-1", "e-2"])
    text = manifest.to_json().replace("tests.engine.jobs:doubled", "tests.engine.jobs:gone")
    store.put(manifest_head("run"), text.encode())

    receipts, _ = computed(store, manifest)

    failures = {pair: r.failure for pair, r in receipts.items() if r.failure}
    assert set(failures) == {("beside", "e-1"), ("beside", "e-2")}
    assert all("tests.engine.jobs:gone" in f.message for f in failures.values())


def test_workers_that_cannot_start_end_the_run_with_one_line(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    manifest = written(store, [FIRST], ["e-1"])
    (tmp_path / "_klio" / "receipts").mkdir(parents=True)
    (tmp_path / "_klio" / "receipts" / "run").write_text("in the way")

    with pytest.raises(RunError, match="the driver ended with code 1") as caught:
        computed(store, manifest)

    assert "\n" not in str(caught.value)


def test_no_process_is_left_when_the_driver_has_ended(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    model = EntityAsset("model", jobs.Model, output=Json())

    computed(store, written(store, [model], ["e-1", "e-2", "e-3"]))

    for entity in ("e-1", "e-2", "e-3"):
        pid = Json().load(store.get(f"model/{entity}.json"), entity)["pid"]
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        pytest.param(jobs.shows_badly, "figure 'plot' is str", id="a figure that is no picture"),
        pytest.param(jobs.raises_the_unsayable, "UnsayableError", id="an error without words"),
    ],
)
def test_a_result_that_cannot_be_shown_is_one_line_and_not_a_dead_worker(transform, said) -> None:
    computed_one = run_chain([EntityAsset("bad", transform, output=Json())], "a")

    failure = computed_one.receipts["bad"].failure
    assert failure is not None
    assert said in str(failure)


def test_a_dead_worker_is_seen_though_a_child_of_it_holds_its_pipes(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    asset = EntityAsset("forked", jobs.forks_and_dies, output=Json())

    receipts, said = computed(store, written(store, [asset], ["good-1", "bad-1", "good-2"]))

    failures = {pair: r.failure for pair, r in receipts.items() if r.failure}
    assert set(failures) == {("forked", "bad-1")}
    child = int(said.partition("child ")[2].partition(".")[0])
    os.kill(child, signal.SIGKILL)  # it lived all the time: nobody waited for its end


def test_what_is_printed_is_shown_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    store = Store.open(str(tmp_path))
    asset = EntityAsset("said", jobs.prints_a_word, output=Json())

    _, printed = computed(store, written(store, [asset], ["e-1", "e-2"]))

    assert "hello from e-1" in printed
    assert "hello from e-2" in printed


def test_receipts_count_on_from_one_look_at_the_wall_clock(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    since = passed_s()
    manifest = replace(written(store, [FIRST], ["e-1", "e-2"]), clock=(1_000_000_000.0, since))
    store.put(manifest_head(manifest.run), manifest.to_json().encode())

    receipts, _ = computed(store, manifest)

    for receipt in receipts.values():
        assert 1_000_000_000.0 < receipt.started_at <= receipt.finished_at
        assert receipt.finished_at < 1_000_000_000.0 + passed_s() - since
