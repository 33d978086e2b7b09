"""Runs over the same entities where Dagster's queue lets in one at a time."""

from collections import Counter
from pathlib import Path

import pytest

from tests.flows.counted_catalogue import ASSETS, CountedCatalogue
from tests.flows.counted_jobs import SLOWNESS, executions
from tests.flows.served_counted import served_counted
from tests.services.waiting import wait_until

pytestmark = pytest.mark.slow

GOOD = [f"g-{number}" for number in range(500)]
LONGEST_S = 180.0


@pytest.mark.parametrize("number", [2, 5], ids=["two runs", "five runs"])
def test_runs_that_share_one_slot_of_the_queue_compute_each_entity_once(
    tmp_path: Path, number: int
) -> None:
    catalogue = CountedCatalogue(tmp_path, GOOD)

    with served_counted(catalogue, slots=1) as served:
        queued = [served.launch() for _ in range(number)]
        wait_until(lambda: {served.status(r) for r in queued} == {"SUCCESS"}, LONGEST_S)

    done = Counter(executions(catalogue.log))
    assert set(done) == {(asset, entity) for asset in ASSETS for entity in GOOD}
    assert max(done.values()) == 1, "something was computed twice"
    counts = Counter((n["materialized"], n["skipped"]) for n in of_third(catalogue))
    assert counts == {(len(GOOD), 0): 1, (0, len(GOOD)): number - 1}
    catalogue.assert_ledger_tells_the_truth()


def test_runs_beside_the_one_in_the_slot_wait_for_it_and_the_next_one_finds_all_done(
    tmp_path: Path,
) -> None:
    """As `klio run` starts them, which asks no queue."""
    catalogue = CountedCatalogue(tmp_path, GOOD)
    catalogue.environment[SLOWNESS] = "0.06"

    with served_counted(catalogue, slots=1) as served:
        queued = [served.launch(entities=GOOD[:300]), served.launch()]
        wait_until(lambda: executions(catalogue.log))
        catalogue.environment[SLOWNESS] = "0"
        impatient = catalogue.start(entities=GOOD[:300], max_wait_s=1)
        patient = catalogue.start(entities=GOOD[200:])
        assert impatient.wait(LONGEST_S) == 0
        behind = [served.status(run) for run in queued]
        assert patient.wait(LONGEST_S) == 0
        wait_until(lambda: {served.status(r) for r in queued} == {"SUCCESS"}, LONGEST_S)

    assert behind == ["STARTED", "QUEUED"]
    assert max(Counter(executions(catalogue.log)).values()) == 1, "something was computed twice"
    counts = of_third(catalogue)
    waited_in_vain = [n for n in counts if n["waiting"]]
    others = {(n["materialized"], n["skipped"]) for n in counts if not n["waiting"]}
    assert others == {(300, 0), (200, 100), (0, 500)}
    assert [n["materialized"] for n in waited_in_vain] == [0]
    catalogue.assert_ledger_tells_the_truth()


def of_third(catalogue: CountedCatalogue) -> list[dict[str, int]]:
    """What each run has counted of the last asset."""
    return [summary["assets"]["third"] for summary in catalogue.summaries()]
