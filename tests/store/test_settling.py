"""One process at a time clears a dead run away; who was killed while it did is no obstacle."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from klio_dagster.store.claims import open_claim, remove_claim
from klio_dagster.store.layout import settling_path
from klio_dagster.store.memory import MemoryStore
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
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    by = replace(Process.this(), pid=killed.pid, started=started_at(killed.pid))
    killed.kill()
    killed.communicate()
    if silent_s:
        by = replace(by, host="elsewhere")
    store.put(settling_path("r1"), json.dumps(asdict(by)).encode())
    now[0] += silent_s

    with settling(store, "r1") as is_ours:
        assert is_ours
