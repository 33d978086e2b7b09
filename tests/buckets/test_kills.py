"""What a kill costs where receipts are objects: two seconds of work, and nothing else."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from klio_dagster.store.receipts import ReceiptTail
from klio_dagster.store.store import Store
from tests.kill.processes import still_alive
from tests.services.buckets import Bucket
from tests.services.waiting import wait_until

LAUNCHER = """
import json, sys
from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.store.store import Store
from tests.engine import jobs
from tests.engine.driven import computed, written

store = Store.open(sys.argv[1], options=json.loads(sys.argv[2]))
asset = EntityAsset("slow", jobs.slow, output=Json())
computed(store, written(store, [asset], [f"e-{n}" for n in range(500)]))
"""
FLUSH_S = 2.0
SLACK_S = 2.0  # of two cores that others use, too
START_UP_S = 30.0


def receipts(store: Store) -> set[str]:
    return {r.entity for receipts in ReceiptTail(store, "run").new() for r in receipts}


@pytest.mark.kill
@pytest.mark.parametrize("victim", ["launcher", "driver"])
def test_at_most_two_seconds_of_finished_work_have_no_receipt(direct: Store, victim: str):
    options = json.dumps(dict(direct.options))
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, direct.url, options])
    try:
        wait_until(lambda: receipts(direct), START_UP_S, "nothing was computed")
        started = psutil.Process(launcher.pid).children(recursive=True)
        driver = next(p for p in started if "klio_dagster.engine.driver" in p.cmdline())
        killed_at = time.time()
        os.kill(launcher.pid if victim == "launcher" else driver.pid, signal.SIGKILL)
        launcher.wait(30)
        assert not still_alive(started, within_s=10)

        known = receipts(direct)
        lost = [i for i in direct.list("slow/") if i.path[5:].partition(".")[0] not in known]
        assert known
        assert all(killed_at - i.modified.timestamp() < FLUSH_S + SLACK_S for i in lost)
    finally:
        launcher.kill()
        launcher.wait()


@pytest.mark.kill
def test_a_worker_that_is_killed_costs_only_what_it_was_computing(bucket: Bucket):
    store = bucket.store()
    options = json.dumps(dict(store.options))
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, store.url, options])
    try:
        wait_until(lambda: receipts(store), START_UP_S, "nothing was computed")
        started = psutil.Process(launcher.pid).children(recursive=True)
        worker = next(p for p in started if "klio_dagster.engine.worker" in p.cmdline())
        worker.kill()
        before = receipts(store)
        end = time.monotonic() + 30
        while len(receipts(store)) < len(before) + 30 and time.monotonic() < end:
            time.sleep(0.2)

        read = [r for receipts in ReceiptTail(store, "run").new() for r in receipts]
        failed = [r for r in read if r.failure is not None]
        assert len(read) == len({r.entity for r in read}) >= len(before) + 30
        assert len(failed) <= 1  # what it was computing, if it had begun anything
    finally:
        launcher.kill()
        launcher.wait()
