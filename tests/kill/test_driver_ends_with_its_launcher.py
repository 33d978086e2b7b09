"""The local driver and its workers end within 2 s of the process that launched them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.kill.processes import still_alive
from tests.services.waiting import wait_until

LAUNCHER = """
import sys
from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.store.store import Store
from tests.engine import jobs
from tests.engine.driven import computed, written

store = Store.open(sys.argv[1])
asset = EntityAsset("slow", getattr(jobs, sys.argv[2]), output=Json())
computed(store, written(store, [asset], [f"e-{n}" for n in range(500)]))
"""
DEADLINE_S = 2.0
START_UP_S = 30.0


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def has_receipts(store: Path) -> bool:
    return any(part.stat().st_size for part in store.glob("_klio/receipts/run/*.jsonl"))


@pytest.mark.kill
@pytest.mark.parametrize(
    ("victim", "transform"),
    [
        pytest.param("launcher", "slow", id="the launcher is killed"),
        pytest.param("driver", "slow", id="the driver is killed"),
        pytest.param("launcher", "waits_for_a_child", id="the launcher is killed, with children"),
        pytest.param("driver", "waits_for_a_child", id="the driver is killed, with children"),
        pytest.param("launcher", "spins", id="the launcher is killed, workers hold the lock"),
    ],
)
def test_driver_and_workers_end_within_two_seconds(
    tmp_path: Path, victim: str, transform: str
) -> None:
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, str(tmp_path), transform])
    try:
        wait_until(lambda: has_receipts(tmp_path), START_UP_S, "nothing was computed")
        processes = descendants(launcher.pid)
        driver = next(p for p in processes if "klio_dagster.engine.driver" in p.cmdline())
        assert len(processes) >= 3, "driver and two workers"

        os.kill(launcher.pid if victim == "launcher" else driver.pid, signal.SIGKILL)

        assert still_alive(processes, DEADLINE_S) == []
    finally:
        launcher.kill()
        launcher.wait()
