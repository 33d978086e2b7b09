"""What a driver leaves behind when it is killed ends all the same."""

import subprocess
import sys

import psutil

from klio_dagster.engine.guardian import Guardian
from tests.kill.processes import still_alive

# A driver with two workers that hear nothing, and one of a worker's own children.
DRIVER = """
import os, subprocess, signal
from klio_dagster.engine.guardian import Guardian

guardian = Guardian()
for number in range(2):
    worker = subprocess.Popen(["sh", "-c", "sleep 100 & wait"], start_new_session=True)
    guardian.watch(worker.pid)
    print(worker.pid, flush=True)
input()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_that_hear_nothing_end_with_a_killed_driver_and_so_do_their_children():
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdin
        assert driver.stdout
        workers = [psutil.Process(int(driver.stdout.readline())) for _ in range(2)]
        children = [child for worker in workers for child in _children(worker)]

        driver.stdin.write("\n")
        driver.stdin.flush()
        driver.wait()

    assert len(children) == 2
    assert not still_alive([*workers, *children], within_s=10)


def test_a_group_that_is_forgotten_is_left_alone():
    """Its number may be another one's by then."""
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as other:
        guardian = Guardian()
        guardian.watch(other.pid)
        guardian.forget(other.pid)
        guardian.close()

        assert psutil.Process(other.pid).is_running()
        assert other.poll() is None
        other.kill()


def _children(worker: psutil.Process) -> list[psutil.Process]:
    while not (found := worker.children()):
        pass
    return found
