"""Runs whose jobs Dataflow executes: shown, cancelled, found again; their ends are clear."""

import os
import signal
from functools import partial

import psutil
import pytest

from klio_dagster.defs import planning, reattach
from klio_dagster.store.claims import generation_of
from klio_dagster.store.open_claim import WRITTEN_BY_S
from tests.dataflow.dataflow_catalogue import DataflowCatalogue, only_job
from tests.dataflow.remote_runs import recordings
from tests.services.dataflow import DataflowService
from tests.services.dataflow_faults import (
    JobFault,
    forbidden,
    never_starts,
    no_machines,
    stalls,
    too_many_jobs,
)
from tests.services.faults import Fault

BOTH = ("recording", "length")


def both(number: int) -> dict[str, int]:
    return dict.fromkeys(BOTH, number)


def test_a_run_is_computed_by_a_job_that_its_page_names(
    catalogue: DataflowCatalogue, dataflow_jobs: DataflowService
) -> None:
    catalogue.engine["prices"] = {"vcpu_hour": 0.06, "memory_gb_hour": 0.004}
    catalogue.fill(5)
    catalogue.put("tracks/track-0001.txt", b"bad")

    ran = catalogue.run(recordings())

    assert ran.counts("materialized") == {"recording": 4, "length": 4}
    assert list(ran.failures) == [("track-0001", "recording")]
    job = only_job(dataflow_jobs)
    run = catalogue.instance.get_run_by_id(ran.run_id)
    assert run is not None
    assert job.name.startswith(f"klio-{ran.run_id}-")
    assert run.tags["klio/job_id"] == job.id
    assert f"/dataflow/jobs/{dataflow_jobs.region}/{job.id}" in run.tags["klio/job_url"]
    said = "\n".join(ran.log)
    assert "job RUNNING" in said
    assert "job DONE" in said
    assert "TotalVcpuTime" in said
    assert "USD by the given prices" in said
    assert catalogue.claims() == []
    again = catalogue.run(recordings())
    assert again.counts("skipped") == {"recording": 4, "length": 4}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(JobFault(refusal=too_many_jobs()), "quota", id="a quota at submission"),
        pytest.param(JobFault(refusal=forbidden()), "not permitted", id="no permission"),
        pytest.param(no_machines(".*"), "ZONE_RESOURCE_POOL_EXHAUSTED", id="no machines"),
    ],
)
def test_a_job_that_is_refused_ends_its_run_with_what_the_service_says(
    catalogue: DataflowCatalogue, dataflow_jobs: DataflowService, fault: object, said: str
) -> None:
    catalogue.fill(1)
    dataflow_jobs.faults = [fault]  # pyright: ignore[reportAttributeAccessIssue]

    ran = catalogue.run(recordings())

    assert not ran.success
    assert said in ran.error
    assert catalogue.claims() == []


@pytest.mark.parametrize(
    ("fault", "options", "said"),
    [
        pytest.param(
            never_starts(".*", 600.0), {"start_timeout_s": 1.0}, "did not start", id="never starts"
        ),
        pytest.param(stalls(".*", 600.0), {"stall_timeout_s": 1.0}, "no receipt came", id="stalls"),
    ],
)
def test_a_job_that_does_nothing_is_cancelled(
    catalogue: DataflowCatalogue,
    dataflow_jobs: DataflowService,
    fault: object,
    options: dict[str, float],
    said: str,
) -> None:
    catalogue.fill(1)
    catalogue.engine |= options
    dataflow_jobs.faults = [fault]  # pyright: ignore[reportAttributeAccessIssue]

    ran = catalogue.run(recordings())

    assert said in ran.error
    assert only_job(dataflow_jobs).state == "JOB_STATE_CANCELLED"
    assert catalogue.claims() == []


def test_a_service_that_does_not_answer_for_a_while_costs_nothing(
    catalogue: DataflowCatalogue, dataflow_jobs: DataflowService
) -> None:
    catalogue.fill(3)

    with dataflow_jobs.broken(Fault(status=503, on="GET", where="/jobs/", times=4)):
        ran = catalogue.run(recordings())

    assert ran.counts("materialized") == both(3)


def fill_with_slow_ones(catalogue: DataflowCatalogue, entities: int) -> list[str]:
    """So many recordings, each of which takes its time."""
    names = catalogue.fill(entities)
    for name in names:
        catalogue.put(f"tracks/{name}.txt", b"slow")
    return names


@pytest.mark.kill
def test_a_job_whose_launcher_died_is_found_watched_and_recorded_by_the_next_run(
    catalogue: DataflowCatalogue, dataflow_jobs: DataflowService
) -> None:
    names = fill_with_slow_ones(catalogue, 12)
    with catalogue.launched() as launcher:
        launcher.kill()
    (dead,) = catalogue.claims()

    ran = catalogue.run(recordings())

    assert ran.success, ran.error
    assert len(dataflow_jobs.jobs) == 1, "nothing is started twice"
    assert only_job(dataflow_jobs).state == "JOB_STATE_DONE"
    assert catalogue.materialized("length") == set(names)
    events = catalogue.instance.get_records_for_run(dead.run_id).records
    recorded = [
        r
        for r in events
        if r.event_log_entry.dagster_event
        and r.event_log_entry.dagster_event.is_step_materialization
    ]
    assert len(recorded) == 24, "each output once, under the run that had asked for it"
    assert catalogue.claims() == []


@pytest.mark.kill
def test_a_job_of_which_nobody_could_say_how_it_is_is_asked_for_again(
    catalogue: DataflowCatalogue,
    dataflow_jobs: DataflowService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = fill_with_slow_ones(catalogue, 60)
    with catalogue.launched() as launcher:
        launcher.kill()
    monkeypatch.setattr(planning, "_ASK_AGAIN_S", 1.0)
    silent = Fault(status=503, on="GET", where="/jobs", times=3)

    with dataflow_jobs.broken(silent):
        ran = catalogue.run(recordings(), max_wait_s=120.0)

    assert silent.met == 3
    assert ran.success, ran.error
    assert catalogue.materialized("length") == set(names)
    assert catalogue.claims() == []


@pytest.mark.kill
def test_a_job_that_the_service_does_not_know_is_waited_for_until_nobody_writes_for_it(
    catalogue: DataflowCatalogue,
    dataflow_jobs: DataflowService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = fill_with_slow_ones(catalogue, 12)
    with catalogue.launched() as launcher:
        launcher.kill()
    (dead,) = catalogue.claims()
    dataflow_jobs.forget()
    paused: list[tuple[float, bool]] = []

    def pause(seconds: float) -> None:
        now = generation_of(catalogue.store, dead.work_id)
        paused.append((seconds, now not in (None, dead.generation)))

    monkeypatch.setattr(reattach, "Orphan", partial(reattach.Orphan, pause=pause))

    ran = catalogue.run(recordings())

    assert ran.success, ran.error
    assert paused == [(WRITTEN_BY_S, True)], "once, and after the claim was revoked"
    assert catalogue.materialized("length") == set(names)
    assert catalogue.claims() == []


@pytest.mark.kill
def test_a_job_that_nobody_waits_for_goes_on_and_is_recorded_once_it_has_ended(
    catalogue: DataflowCatalogue, dataflow_jobs: DataflowService
) -> None:
    names = fill_with_slow_ones(catalogue, 12)
    with catalogue.launched() as launcher:
        launcher.kill()
    catalogue.put("tracks/new.txt", b"new")
    catalogue.register("new")

    first = catalogue.run(recordings(), entities=["new"])

    assert first.counts("materialized") == both(1)
    only_orphan = dataflow_jobs.jobs[0]
    only_orphan.wait("JOB_STATE_DONE")
    catalogue.run(recordings(), entities=["new"])
    assert catalogue.materialized("length") == {*names, "new"}
    assert catalogue.claims() == []


def test_an_interrupted_run_has_its_job_cancelled_and_waits_for_that(
    catalogue: DataflowCatalogue, dataflow_jobs: DataflowService
) -> None:
    fill_with_slow_ones(catalogue, 40)
    with catalogue.launched() as launcher:
        os.kill(launcher.pid, signal.SIGINT)
        launcher.wait(60)

    job = only_job(dataflow_jobs)
    assert job.state == "JOB_STATE_CANCELLED"
    assert catalogue.claims() == []
    recorded = catalogue.materialized("length")
    assert 0 < len(recorded) < 40, "what was finished is recorded"


@pytest.mark.kill
def test_a_driver_that_is_killed_is_replaced_and_its_job_not_submitted_again(
    catalogue: DataflowCatalogue, dataflow_jobs: DataflowService
) -> None:
    names = fill_with_slow_ones(catalogue, 12)
    with catalogue.launched() as launcher:
        drivers = [
            process
            for process in psutil.Process(launcher.pid).children()
            if "klio_dagster.engine.driver" in process.cmdline()
        ]
        drivers[0].kill()
        launcher.wait(120)

    assert only_job(dataflow_jobs).state == "JOB_STATE_DONE"
    assert catalogue.materialized("length") == set(names)
    assert catalogue.claims() == []
