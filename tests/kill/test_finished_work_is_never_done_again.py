"""Kill -9 of driver, run worker or both: the next run goes on where the receipts end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import psutil
import pytest

from klio_dagster.codecs.hashing import data_version
from klio_dagster.core.fold import read_lines
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.partitions import register
from klio_dagster.ledger.ledger import ledger_of
from klio_dagster.store.layout import output_path
from klio_dagster.store.store import Store
from tests.flows.counted_jobs import LOG, executions
from tests.kill.processes import still_alive

ENTITIES = [f"e-{number}" for number in range(60)]
ASSETS = ("first", "second", "third")
BAD = {("second", "e-13"), ("third", "e-13")}
START_UP_S = 60.0


class Catalogue:
    """A store, a home and an execution log in a folder."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(str(folder / "store"))
        self.log = folder / "executions"
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.environment = {
            **os.environ,
            "DAGSTER_HOME": str(self.home),
            "KLIO_TEST_STORE": str(folder / "store"),
            LOG: str(self.log),
        }
        with self.instance() as instance:
            register(instance, "entities", ENTITIES)

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home))

    def start(self) -> "subprocess.Popen[bytes]":
        with (self.home.parent / f"run-{time.monotonic_ns()}.txt").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.flows.run_all"],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def receipts(self) -> set[tuple[str, str]]:
        root = self.store.local_path("_klio/receipts")
        assert root is not None
        return {
            receipt.pair
            for part in root.glob("*/*.jsonl")
            for receipt in read_lines(part.read_bytes()).receipts
        }


def wait_until(is_so, seconds: float = START_UP_S) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def processes_below(run_worker: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(run_worker.pid).children(recursive=True)


@pytest.mark.kill
@pytest.mark.parametrize("moment", range(10))
def test_a_killed_run_is_gone_on_with(tmp_path: Path, moment: int) -> None:
    chance = random.Random(moment)
    victims = ("driver", "run worker", "both")[moment % 3]
    catalogue = Catalogue(tmp_path)
    run_worker = catalogue.start()
    try:
        at_least = chance.randrange(1, 120)
        wait_until(lambda: len(executions(catalogue.log)) >= at_least)
        below = processes_below(run_worker)
        driver = next(p for p in below if "klio_dagster.engine.driver" in p.cmdline())
        if victims != "run worker":
            os.kill(driver.pid, signal.SIGKILL)
        if victims != "driver":
            os.kill(run_worker.pid, signal.SIGKILL)
        run_worker.wait(START_UP_S)
        assert still_alive(below, within_s=2.0) == []
    finally:
        run_worker.kill()
        run_worker.wait()
    finished = catalogue.receipts() or recorded(catalogue)
    before = Counter(executions(catalogue.log))

    assert catalogue.start().wait(START_UP_S) == 1, "the bad entity fails"

    after = Counter(executions(catalogue.log))
    done_again = {pair for pair in after if after[pair] > 1}
    assert not done_again & (finished - BAD), "finished work was done again"
    assert all(after[pair] <= before[pair] + 1 for pair in after)
    assert set(after) == {(a, e) for a in ASSETS for e in ENTITIES} - {("third", "e-13")}
    assert_ledger_tells_the_truth(catalogue)


def recorded(catalogue: Catalogue) -> set[tuple[str, str]]:
    """What the ledger holds, when the run that ended recorded its own receipts."""
    with catalogue.instance() as instance:
        records = ledger_of(instance, describe=metadata_of).records(ASSETS, None)
    return {(asset, entity) for asset, known in records.items() for entity in known}


def assert_ledger_tells_the_truth(catalogue: Catalogue) -> None:
    """Every record's output is there with that hash; every run that ended is reported."""
    with catalogue.instance() as instance:
        records = ledger_of(instance, describe=metadata_of).records(ASSETS, ENTITIES)
        for asset in ASSETS:
            for entity in ENTITIES:
                record = records[asset][entity]
                assert record.failed == ((asset, entity) in BAD)
                if not record.failed:
                    data = catalogue.store.get(output_path(asset, entity, ".json"))
                    assert record.data_version == data_version(data)
        assert {run.status.value for run in instance.get_runs()} == {"FAILURE"}
    assert list(catalogue.store.list("_klio/open/")) == []
