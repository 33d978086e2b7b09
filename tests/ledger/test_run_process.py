"""A run whose process is gone is reported ended; one whose process may live is left alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from klio_dagster.ledger.run_process import TAG, process_tags, report_gone_runs
from klio_dagster.store.processes import Process
from tests.ledger import process_job

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture(scope="module")
def gone() -> Process:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process.of(child.pid)
    assert process.is_gone
    return process


def a_run(instance: dg.DagsterInstance, process: Process | None, status=STARTED) -> str:
    run = instance.create_run_for_job(job_def=process_job.in_process(), status=status)
    instance.add_run_tags(run.run_id, process_tags(run.run_id, process))
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("NOT_STARTED", "FAILURE"),
        ("STARTING", "FAILURE"),
        ("STARTED", "FAILURE"),
        ("CANCELING", "CANCELED"),
    ],
)
def test_a_run_whose_process_is_gone_has_ended(
    instance: dg.DagsterInstance, gone: Process, before: str, after: str
) -> None:
    run_id = a_run(instance, gone, dg.DagsterRunStatus(before))

    reported = report_gone_runs(instance)

    assert reported == [run_id]
    assert status_of(instance, run_id).value == after
    (line,) = [e.message for e in instance.all_logs(run_id) if "the run died" in e.message]
    assert f"process {gone.pid} on {gone.host} is gone" in line
    assert report_gone_runs(instance) == []


def test_runs_whose_process_may_live_are_left_alone(
    instance: dg.DagsterInstance, gone: Process
) -> None:
    runs = [
        a_run(instance, None),
        a_run(instance, Process.this()),
        a_run(instance, replace(gone, host="elsewhere")),
        a_run(instance, replace(gone, machine="another container of that name")),
    ]
    ended = a_run(instance, gone, dg.DagsterRunStatus.SUCCESS)

    reported = report_gone_runs(instance)

    assert reported == []
    assert {status_of(instance, run) for run in runs} == {STARTED}
    assert status_of(instance, ended) is dg.DagsterRunStatus.SUCCESS


def test_a_run_that_inherits_the_tags_of_a_dead_one_is_not_taken_for_it(
    instance: dg.DagsterInstance, gone: Process
) -> None:
    first = instance.get_run_by_id(a_run(instance, gone, dg.DagsterRunStatus.FAILURE))
    assert first is not None
    again = instance.create_run_for_job(
        job_def=process_job.in_process(), status=STARTED, tags=first.tags
    )

    assert report_gone_runs(instance) == []
    assert status_of(instance, again.run_id) is STARTED


@pytest.mark.parametrize("value", ["", "4711", "[1]", '{"run": 1}', "{"])
def test_a_tag_of_somebody_else_is_left_alone(instance: dg.DagsterInstance, value: str) -> None:
    run_id = a_run(instance, None)
    instance.add_run_tags(run_id, {TAG: value})

    assert report_gone_runs(instance) == []
    assert status_of(instance, run_id) is STARTED


@pytest.mark.parametrize(
    ("job", "config"),
    [
        pytest.param(process_job.in_process, {}, id="in process"),
        pytest.param(process_job.multiprocess, {}, id="a process for each step"),
        pytest.param(process_job.stock, {}, id="the stock executor"),
        pytest.param(
            process_job.stock,
            {"execution": {"config": {"in_process": {}}}},
            id="the stock executor, told to stay in process",
        ),
    ],
)
def test_the_process_of_a_run_is_the_one_that_ends_with_it(
    instance: dg.DagsterInstance, job, config
) -> None:
    with dg.execute_job(dg.reconstructable(job), instance, run_config=config) as done:
        assert done.success

    event = instance.get_latest_materialization_event(dg.AssetKey("told"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["pid"].value == os.getpid()
