"""Runs over the same entities at the same time: each is computed once, nobody waits for ever."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.counted_catalogue import ASSETS, CountedCatalogue, processes_below
from tests.flows.counted_jobs import SLOWNESS, executions
from tests.services.waiting import wait_until

GOOD = [f"g-{number}" for number in range(500)]
LONGEST_S = 180.0


@pytest.fixture
def catalogue(tmp_path: Path) -> CountedCatalogue:
    return CountedCatalogue(tmp_path, GOOD)


@pytest.fixture
def started() -> "Iterator[list[subprocess.Popen[bytes]]]":
    """Run workers, of which none is left when the test ends."""
    workers: list[subprocess.Popen[bytes]] = []
    yield workers
    for worker in workers:
        worker.send_signal(signal.SIGCONT)
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("number", [2, 5], ids=["two runs", "five runs"])
def test_runs_over_the_same_entities_compute_each_once(
    catalogue: CountedCatalogue, started: "list[subprocess.Popen[bytes]]", number: int
) -> None:
    started += [catalogue.start() for _ in range(number)]

    ended = [run.wait(LONGEST_S) for run in started]

    assert ended == [0] * number
    done = Counter(executions(catalogue.log))
    assert set(done) == {(asset, entity) for asset in ASSETS for entity in GOOD}
    assert max(done.values()) == 1, "something was computed twice"
    materialized = [s["assets"]["third"]["materialized"] for s in catalogue.summaries()]
    skipped = [s["assets"]["third"]["skipped"] for s in catalogue.summaries()]
    assert sum(materialized) == len(GOOD)
    assert [m + s for m, s in zip(materialized, skipped, strict=True)] == [len(GOOD)] * number
    catalogue.assert_ledger_tells_the_truth()


def test_a_run_that_overlaps_computes_what_is_its_own_before_it_waits(
    catalogue: CountedCatalogue, started: "list[subprocess.Popen[bytes]]"
) -> None:
    catalogue.environment[SLOWNESS] = "0.02"
    started.append(catalogue.start(entities=GOOD[:300]))
    wait_until(lambda: executions(catalogue.log))
    started.append(catalogue.start(entities=GOOD[200:]))

    ended = [run.wait(LONGEST_S) for run in started]

    assert ended == [0, 0]
    assert max(Counter(executions(catalogue.log)).values()) == 1
    counts = [summary["assets"]["first"] for summary in catalogue.summaries()]
    assert {(c["materialized"], c["skipped"]) for c in counts} == {(300, 0), (200, 100)}


def test_what_a_killed_run_held_is_computed_by_the_one_that_waits(
    catalogue: CountedCatalogue, started: "list[subprocess.Popen[bytes]]"
) -> None:
    catalogue.environment[SLOWNESS] = "0.02"
    started.append(catalogue.start())
    wait_until(lambda: len(executions(catalogue.log)) > 30)
    waiting = catalogue.start()
    started.append(waiting)
    wait_until(lambda: len(list(catalogue.store.list("_klio/open/"))) > 2)
    below = processes_below(started[0])

    started[0].kill()
    started[0].wait()

    assert waiting.wait(LONGEST_S) == 0
    done = Counter(executions(catalogue.log))
    again = [pair for pair, times in done.items() if times > 1]
    assert len(again) <= len(below), "at most what its workers had under their hands"
    catalogue.assert_ledger_tells_the_truth()
    assert catalogue.run_statuses() == {"FAILURE", "SUCCESS"}


def test_a_run_waits_no_longer_than_it_was_told_to(
    catalogue: CountedCatalogue, started: "list[subprocess.Popen[bytes]]"
) -> None:
    catalogue.environment[SLOWNESS] = "0.1"
    started.append(catalogue.start(entities=GOOD[:200]))
    wait_until(lambda: executions(catalogue.log))

    impatient = catalogue.start(entities=GOOD[:210], max_wait_s=1)
    started.append(impatient)

    assert impatient.wait(LONGEST_S) == 0
    (summary,) = catalogue.summaries()
    assert summary["assets"]["third"]["materialized"] == 10
    assert summary["assets"]["third"]["waiting"] > 0
    assert sum(summary["assets"]["third"].values()) == 210


@pytest.mark.kill
@pytest.mark.parametrize(
    "stopped_s",
    [
        pytest.param(0.0, id="until another has done it all"),
        pytest.param(90.0, id="for 90 s", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_stopped_until_others_took_over_writes_nothing_more(
    catalogue: CountedCatalogue, started: "list[subprocess.Popen[bytes]]", stopped_s: float
) -> None:
    catalogue.environment[SLOWNESS] = "0.5"
    wanted = GOOD[:80]
    stopped = catalogue.start(entities=wanted)
    started.append(stopped)
    wait_until(lambda: executions(catalogue.log))
    os.kill(stopped.pid, signal.SIGSTOP)
    until = time.monotonic() + stopped_s
    catalogue.environment[SLOWNESS] = "0"

    successor = catalogue.start(entities=wanted)
    started.append(successor)
    assert successor.wait(LONGEST_S) == 0
    stored = {
        info.path: info.modified for info in catalogue.store.list() if "_klio" not in info.path
    }
    receipts = catalogue.receipts()
    time.sleep(max(0.0, until - time.monotonic()))
    os.kill(stopped.pid, signal.SIGCONT)

    assert stopped.wait(30) == 1
    now = {info.path: info.modified for info in catalogue.store.list() if "_klio" not in info.path}
    assert now == stored
    assert catalogue.receipts() == receipts
    assert catalogue.run_statuses() == {"FAILURE", "SUCCESS"}
    assert list(catalogue.store.list("_klio/open/")) == []
