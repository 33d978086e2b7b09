"""A started run holds its claim until it ends, dies, or falls silent."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from klio_dagster.errors import ClaimLostError, ConfigError, EntitiesInFlightError
from klio_dagster.store.claim import encoded, goes_before
from klio_dagster.store.claims import ClaimState, read_claims, remove_claim
from klio_dagster.store.layout import beat_path, claim_path, work_id_of
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.processes import started_at
from klio_dagster.store.store import Store
from tests.store.elsewhere import held_elsewhere, launched_by
from tests.store.told_clock import Clock

HOLD = """
import sys
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.store import Store
open_claim(Store.open(sys.argv[1]), "r1", assets=["mel"])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds a claim in `tmp_path` until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def _only(states: list[ClaimState]) -> ClaimState:
    (state,) = states
    return state


def test_a_run_that_works_is_seen_with_what_it_holds():
    clock = Clock()
    store = MemoryStore(clock)
    held = open_claim(store, "r1", assets=["mel", "team/features"])

    held.set_manifest("_klio/runs/r1/manifest-00000.jsonl")
    state = _only(read_claims(store, now=clock()))

    assert state.is_alive
    assert state.claim == held.claim
    assert state.claim.assets == ("mel", "team/features")
    assert state.claim.manifest == "_klio/runs/r1/manifest-00000.jsonl"
    assert state.claim.created == clock()
    assert (state.claim.launcher.pid, state.claim.engine) == (os.getpid(), "local")


def test_a_claim_keeps_its_time_whatever_is_written_later():
    clock = Clock()
    store = MemoryStore(clock)
    held = open_claim(store, "r1", assets=["mel"])
    created = clock()
    clock.now += 30

    held.set_manifest("m")
    held.beat()

    assert _only(read_claims(store, now=clock())).claim.created == created


def test_a_claim_that_is_just_being_written_has_its_object_s_time():
    clock = Clock()
    store = MemoryStore(clock)
    held = open_claim(store, "r1", assets=["mel"])
    store.put(claim_path("r1"), encoded(replace(held.claim, created=0.0)))

    assert _only(read_claims(store, now=clock())).claim == held.claim


def test_an_ended_run_holds_nothing(tmp_path: Path):
    store = Store.open(str(tmp_path))
    held = open_claim(store, "r1", assets=["mel"])

    held.close()
    held.close()
    held.beat()
    held.set_manifest("m")

    assert read_claims(store) == []
    assert list(store.list()) == []


def test_the_claim_of_a_working_process_lives(tmp_path: Path, holder: subprocess.Popen[bytes]):
    state = _only(read_claims(Store.open(str(tmp_path))))

    assert state.is_alive
    assert state.claim.launcher.pid == holder.pid


@pytest.mark.parametrize("is_waited_for", [True, False], ids=["waited for", "zombie"])
def test_the_claim_of_a_killed_process_is_dead_at_once(
    tmp_path: Path, holder: subprocess.Popen[bytes], is_waited_for: bool
):
    holder.kill()
    if is_waited_for:
        holder.wait()
    else:
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)

    state = _only(read_claims(Store.open(str(tmp_path))))

    assert not state.is_alive
    assert f"process {holder.pid}" in state.why
    assert "gone" in state.why


def test_a_process_that_got_the_number_of_a_dead_one_keeps_nothing_alive():
    store = MemoryStore()
    held = open_claim(store, "r1", assets=["mel"])
    assert held.claim.launcher.started is not None
    launched_by(store, held.claim, started=held.claim.launcher.started - 1)

    assert not _only(read_claims(store)).is_alive


def test_where_no_start_time_is_known_the_process_number_decides(
    holder: subprocess.Popen[bytes],
):
    store = MemoryStore()
    held = open_claim(store, "r1", assets=["mel"])
    launched_by(store, held.claim, started=None, pid=holder.pid)
    before = _only(read_claims(store)).is_alive

    holder.kill()
    holder.wait()

    assert before
    assert not _only(read_claims(store)).is_alive


@pytest.mark.parametrize(
    ("silent_s", "is_alive"), [(0, True), (59, True), (61, False)], ids="{} s".format
)
def test_a_run_on_another_machine_is_dead_after_a_minute_of_silence(silent_s: int, is_alive: bool):
    clock = Clock()
    store = MemoryStore(clock)
    held_elsewhere(store)
    clock.now += silent_s

    state = _only(read_claims(store, now=clock()))

    assert state.is_alive is is_alive
    assert "elsewhere" in state.why


def test_age_is_taken_by_the_store_s_clock_not_by_ours():
    clock = Clock()  # the store is years behind this machine
    store = MemoryStore(clock)
    held_elsewhere(store)
    open_claim(store, "r2", assets=["mel"])

    states = {s.claim.run_id: s.is_alive for s in read_claims(store)}

    assert states == {"r1": True, "r2": True}


def test_a_dead_run_can_be_cleared_away_by_another():
    store = MemoryStore()
    open_claim(store, "r1", assets=["mel"])

    remove_claim(store, "r1")
    remove_claim(store, "r1")

    assert list(store.list()) == []


@pytest.mark.parametrize("left", [claim_path("r1"), beat_path("r1")], ids=["claim", "beat"])
def test_a_run_killed_while_it_opened_or_closed_its_claim_is_no_obstacle(left: str):
    clock = Clock()
    store = MemoryStore(clock)
    held_elsewhere(store)
    store.delete(*({claim_path("r1"), beat_path("r1")} - {left}))
    clock.now += 61

    assert not any(state.is_alive for state in read_claims(store, now=clock()))


def test_the_older_claim_goes_first_and_of_two_at_once_the_smaller_run_id():
    clock = Clock()
    store = MemoryStore(clock)
    old = open_claim(store, "r9", assets=["mel"]).claim
    clock.now += 1
    b = open_claim(store, "b", assets=["mel"]).claim
    a = open_claim(store, "a", assets=["mel"]).claim

    order = [state.claim.run_id for state in read_claims(store, now=clock())]

    assert order == ["r9", "a", "b"]
    assert goes_before(old, a)
    assert goes_before(a, b)
    assert not goes_before(b, a)
    assert not goes_before(a, a)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="torn"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"run_id": "r1"}', id="fields missing"),
        pytest.param(b"\xff", id="no text"),
    ],
)
def test_a_claim_nobody_can_read_is_one_clear_line(data: bytes):
    store = MemoryStore()
    store.put(claim_path("r1"), data)

    with pytest.raises(ConfigError, match="no claim that this version can read") as caught:
        read_claims(store)

    assert len(str(caught.value).splitlines()) == 1


def test_only_a_living_process_has_a_start_time(holder: subprocess.Popen[bytes]):
    before = started_at(holder.pid)

    holder.kill()
    holder.wait()

    assert before is not None
    assert started_at(holder.pid) is None


def test_two_groups_of_one_run_hold_a_claim_each():
    store = MemoryStore()

    open_claim(store, "r1", assets=["mel"], work_id=work_id_of("r1", "audio"))
    open_claim(store, "r1", assets=["labels"], work_id=work_id_of("r1", "labels"))

    held = {state.claim.work_id: state.claim.run_id for state in read_claims(store)}
    assert held == {"r1-audio": "r1", "r1-labels": "r1"}


def test_a_run_that_is_executed_twice_at_once_is_refused():
    store = MemoryStore()
    first = open_claim(store, "r1", assets=["mel"])

    with pytest.raises(EntitiesInFlightError, match="another process is executing it already"):
        open_claim(store, "r1", assets=["mel"])
    first.close()

    assert open_claim(store, "r1", assets=["mel"]).claim.run_id == "r1"


CHANGES = {
    "names what it computes": lambda held: held.set_manifest("_klio/runs/r1/manifest.json"),
    "begins to wait": lambda held: held.release(),
    "goes on after it waited": lambda held: held.renew(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_that_was_taken_for_dead_does_not_hold_its_entities_again(change: str):
    store = MemoryStore()
    held = open_claim(store, "r1", assets=["mel"])
    remove_claim(store, "r1")  # by a run that took its entities over

    with pytest.raises(ClaimLostError):
        CHANGES[change](held)

    assert read_claims(store) == []


def test_a_run_that_was_taken_for_dead_is_told_so_whenever_it_asks():
    store = MemoryStore()
    held = open_claim(store, "r1", assets=["mel"])
    remove_claim(store, "r1")

    for _ in range(2):
        with pytest.raises(ClaimLostError):
            held.beat()


def test_a_run_that_another_process_resumed_keeps_its_claim_when_the_first_one_ends():
    store = MemoryStore()
    stopped = open_claim(store, "r1", assets=["mel"])
    remove_claim(store, "r1")
    resumed = open_claim(store, "r1", assets=["mel"])

    stopped.close()

    assert _only(read_claims(store)).claim.generation == resumed.claim.generation
