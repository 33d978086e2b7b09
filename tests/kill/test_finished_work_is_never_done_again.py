"""Kill -9 of driver, run worker or both: the next run goes on where the receipts end."""

import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.flows.counted_catalogue import (
    ASSETS,
    BAD,
    START_UP_S,
    CountedCatalogue,
    processes_below,
    wait_until,
)
from tests.flows.counted_jobs import executions
from tests.kill.processes import still_alive

ENTITIES = [f"e-{number}" for number in range(60)]


@pytest.mark.kill
@pytest.mark.parametrize("moment", range(10))
def test_a_killed_run_is_gone_on_with(tmp_path: Path, moment: int) -> None:
    chance = random.Random(moment)
    victims = ("driver", "run worker", "both")[moment % 3]
    catalogue = CountedCatalogue(tmp_path, ENTITIES)
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
    finished = catalogue.receipts() or catalogue.recorded()
    before = Counter(executions(catalogue.log))

    assert catalogue.start().wait(START_UP_S) == 1, "the bad entity fails"

    after = Counter(executions(catalogue.log))
    done_again = {pair for pair in after if after[pair] > 1}
    assert not done_again & (finished - BAD), "finished work was done again"
    assert all(after[pair] <= before[pair] + 1 for pair in after)
    assert set(after) == {(a, e) for a in ASSETS for e in ENTITIES} - {("third", "e-13")}
    catalogue.assert_ledger_tells_the_truth()
    assert catalogue.run_statuses() == {"FAILURE"}
