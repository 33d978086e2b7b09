"""One process at a time clears a dead run away; who was killed while it did is no obstacle."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace

import pytest

from klio_dagster.store.claims import remove_claim
from klio_dagster.store.layout import settling_path
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.processes import Process, started_at
from klio_dagster.store.settling import settling


def test_one_process_at_a_time_clears_a_dead_run_away():
    store = MemoryStore()
    open_claim(store, "r1", assets=["mel"])

    with settling(store, "r1") as is_ours, settling(store, "r1") as is_theirs:
        both = is_ours, is_theirs
    with settling(store, "r1") as is_next:
        pass

    assert both == (True, False)
    assert is_next


def test_nobody_clears_away_what_another_has_cleared_away():
    store = MemoryStore()
    open_claim(store, "r1", assets=["mel"])
    remove_claim(store, "r1")

    with settling(store, "r1") as is_ours:
        assert not is_ours

    assert list(store.list()) == []


@pytest.mark.parametrize(
    "silent_s",
    [
        pytest.param(0, id="gone on this machine"),
        pytest.param(601, id="silent elsewhere"),
        pytest.param(-3600, id="silent elsewhere since the clock was set back"),
    ],
)
def test_who_was_killed_while_clearing_away_is_no_obstacle(
    silent_s: int,
):
    now = [1_700_000_000.0]
    store = MemoryStore(lambda: now[0])
    open_claim(store, "r1", assets=["mel"])
    by = killed_here()
    if silent_s:
        by = replace(by, host="elsewhere")
    store.put(settling_path("r1"), json.dumps(asdict(by)).encode())
    now[0] += silent_s

    with settling(store, "r1") as is_ours:
        assert is_ours


class Interrupted(MemoryStore):
    """Lets something else happen after the first look at who clears away."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] | None = None

    def get_or_none(self, path: str) -> bytes | None:
        found = super().get_or_none(path)
        if path == settling_path("r1") and self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return found


@pytest.mark.parametrize("is_cleared", [True, False], ids=["cleared", "given up"])
def test_of_two_that_find_somebody_killed_at_it_one_takes_over(is_cleared: bool):
    store = Interrupted()
    open_claim(store, "r1", assets=["mel"])
    store.put(settling_path("r1"), json.dumps(asdict(killed_here())).encode())

    with ExitStack() as other:
        owners: list[bool] = []
        store.meanwhile = lambda: owners.append(other.enter_context(settling(store, "r1")))
        with settling(store, "r1") as is_ours:
            owners.append(is_ours)
        if is_cleared:
            remove_claim(store, "r1")
    with settling(store, "r1") as is_next:
        pass

    assert sorted(owners) == [False, True]
    assert is_next is not is_cleared
    if is_cleared:
        assert list(store.list("_klio/open/")) == []


def killed_here() -> Process:
    """A process of this machine that has ended."""
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    by = replace(Process.this(), pid=killed.pid, started=started_at(killed.pid))
    killed.kill()
    killed.communicate()
    return by
