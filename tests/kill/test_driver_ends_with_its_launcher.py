"""The local driver and its workers end within 2 s of the process that launched them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.kill.processes import still_alive

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


def wait_for_receipts(store: Path) -> None:
    end = time.monotonic() + START_UP_S
    while time.monotonic() < end:
        parts = list(store.glob("_klio/receipts/run/*.jsonl"))
        if any(part.stat().st_size for part in parts):
            return
        time.sleep(0.05)
    raise AssertionError("nothing was computed")


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
        wait_for_receipts(tmp_path)
        processes = descendants(launcher.pid)
        driver = next(p for p in processes if "klio_dagster.engine.driver" in p.cmdline())
        assert len(processes) >= 3, "driver and two workers"

        os.kill(launcher.pid if victim == "launcher" else driver.pid, signal.SIGKILL)

        assert still_alive(processes, DEADLINE_S) == []
    finally:
        launcher.kill()
        launcher.wait()
