"""However a run is ended: all of it ends, what it finished is recorded, its entities are free."""

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.flows.counted_catalogue import START_UP_S, CountedCatalogue
from tests.flows.counted_jobs import SLOWNESS, executions
from tests.flows.served_counted import Served, served_counted
from tests.kill.processes import still_alive
from tests.services.waiting import wait_until

ENTITIES = [f"e-{number}" for number in range(300)]
WITHIN_S = 40.0  # it takes some two seconds on a quiet machine
DRIVER, WORKER = "klio_dagster.engine.driver", "klio_dagster.engine.worker"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> CountedCatalogue:
    made = CountedCatalogue(tmp_path_factory.mktemp("counted"), ENTITIES)
    made.environment[SLOWNESS] = "0.2"  # all of it a minute and more: no run ends by itself here
    return made


@pytest.fixture(scope="module")
def served(catalogue: CountedCatalogue) -> Iterator[Served]:
    with served_counted(catalogue) as served:
        yield served


def launched(served: Served, catalogue: CountedCatalogue) -> tuple[str, list[psutil.Process]]:
    """A run in the midst of its work, and its processes, the run worker first."""
    before = len(executions(catalogue.log))
    run_id = served.launch()
    wait_until(
        lambda: len(executions(catalogue.log)) > before + 20 and served.below(WORKER),
        2 * START_UP_S,
    )
    (driver,) = served.below(DRIVER)
    run_worker = driver.parent()
    assert run_worker is not None
    return run_id, [run_worker, *run_worker.children(recursive=True)]


def wait_for(served: Served, run_id: str, status: str) -> None:
    wait_until(lambda: served.status(run_id) == status, WITHIN_S)


@pytest.mark.parametrize(
    ("by", "status"),
    [
        pytest.param("the button", "CANCELED", id="the button in the UI"),
        # Nobody told Dagster: it takes that for the machine's end, which retries of runs mend.
        pytest.param("a signal", "FAILURE", id="SIGTERM to its process"),
    ],
)
def test_a_launched_run_is_ended(
    served: Served, catalogue: CountedCatalogue, by: str, status: str
) -> None:
    before = len(catalogue.recorded())
    run_id, processes = launched(served, catalogue)

    started = time.monotonic()
    if by == "a signal":
        os.kill(processes[0].pid, signal.SIGTERM)
    else:
        served.terminate(run_id)
    wait_for(served, run_id, status)

    assert still_alive(processes[1:], WITHIN_S - (time.monotonic() - started)) == []
    assert list(catalogue.store.list("_klio/open/")) == []
    assert catalogue.receipts() == set(), "all of them are recorded"
    assert before < len(catalogue.recorded()) <= len(set(executions(catalogue.log)))


def test_a_run_that_waits_for_another_one_is_ended_too(
    served: Served, catalogue: CountedCatalogue
) -> None:
    holding, _ = launched(served, catalogue)
    waiting = served.launch()
    claims = len({*catalogue.store.list("_klio/open/")})
    wait_until(lambda: len({*catalogue.store.list("_klio/open/")}) > claims, START_UP_S)

    served.terminate(waiting)
    wait_for(served, waiting, "CANCELED")

    assert served.status(holding) == "STARTED"
    served.terminate(holding)
    wait_for(served, holding, "CANCELED")


def test_a_run_in_the_queue_is_ended_before_it_starts(
    served: Served, catalogue: CountedCatalogue
) -> None:
    runs = [served.launch(force=True) for _ in range(3)]  # the queue lets two of them go
    for run_id in runs[:2]:
        wait_until(lambda: served.status(run_id) == "STARTED", START_UP_S)  # noqa: B023
    assert served.status(runs[2]) == "QUEUED"

    for run_id in reversed(runs):
        served.terminate(run_id)

    for run_id in runs:
        wait_for(served, run_id, "CANCELED")
    wait_until(lambda: not served.below(DRIVER), WITHIN_S)
    wait_until(lambda: not list(catalogue.store.list("_klio/open/")), WITHIN_S)
