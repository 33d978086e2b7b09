"""What Beam's real DataflowRunner sees of the double: the service's promises, and its failures."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.services.dataflow import DataflowService, dataflow_service
from tests.services.dataflow_faults import (
    JobFault,
    never_starts,
    no_cpu_quota,
    no_machines,
    stalls,
    too_many_jobs,
)
from tests.services.dataflow_job import Job
from tests.services.dataflow_processes import living
from tests.services.faults import Fault
from tests.services.gcs import BUCKET, GcsServer
from tests.services.waiting import wait_until


@pytest.fixture(scope="module")
def storage() -> Iterator[GcsServer]:
    with GcsServer() as server:
        yield server


@pytest.fixture(scope="module")
def service(storage) -> Iterator[DataflowService]:
    told = {"KLIO_TESTS_COUNTER": "told"}
    with dataflow_service(storage.url, attempts=2, environment=told) as service:
        yield service


@pytest.fixture(autouse=True)
def _beam_in_a_hurry(service, monkeypatch):
    """Beam looks for credentials once a process, polls every 5 s, and waits 5 s before a retry."""
    from apache_beam.internal.gcp import auth
    from apache_beam.runners.dataflow import dataflow_runner
    from apache_beam.utils import retry

    hurried = SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(seconds / 50))
    monkeypatch.setattr(auth._Credentials, "_credentials_init", False)
    monkeypatch.setattr("socket.getdefaulttimeout", lambda: 60)  # or Beam sets it for all of us
    monkeypatch.setattr(dataflow_runner, "time", hurried)
    monkeypatch.setattr(retry.Clock, "sleep", lambda _clock, _seconds: hurried.sleep(1))
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)


def submit(pipeline: str, options: dict[str, Any], **arguments: Any) -> Any:
    from tests.services import dataflow_jobs

    return dataflow_jobs.submit(pipeline, options, **arguments)


def begun(service: DataflowService, file: Path, name: str) -> Job:
    """The job of this name, once its element is being processed."""
    job = service.job(name)
    wait_until(lambda: file.exists() and job.worker_pids)
    return job


def test_a_job_that_succeeds_gives_its_counters_and_writes_to_the_bucket(service, storage):
    result = submit("counted", service.options("good"), path=f"gs://{BUCKET}/out/numbers")
    state = result.wait_until_finish()

    assert state == "DONE"
    found = result.metrics().query()
    assert [(each.key.metric.name, each.committed) for each in found["counters"]] == [("told", 3)]
    assert [each.committed.sum for each in found["distributions"]] == [6]
    used = {each.key.metric.name: each.committed for each in result.metrics().all_metrics()}
    assert used["TotalVcpuTime"] * 3840 == pytest.approx(used["TotalMemoryUsage"], abs=3840)
    assert storage.names("out/") == ["out/numbers-00000-of-00001"]
    assert service.job("good").options["job_name"] == "good"


def test_a_job_whose_transform_fails_ends_with_the_users_error(service):
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException

    result = submit("failing", service.options("bad"))
    with pytest.raises(DataflowRuntimeException, match="ValueError: element 1 is of no use"):
        result.wait_until_finish()

    job = service.job("bad")
    assert (job.state, job.attempts, len(job.errors)) == ("JOB_STATE_FAILED", 2, 3)
    assert "a work item has failed 2 times" in job.errors[-1]


def test_a_cancelled_job_ends_with_all_its_processes(service, tmp_path):
    service.faults = [JobFault(name="slow-cancel", cancel_s=0.5)]
    file = tmp_path / "begun"

    result = submit("sleeping", service.options("slow-cancel"), begun=str(file))
    job = begun(service, file, "slow-cancel")
    pids = job.pids
    result.cancel()

    assert job.wait("CANCELLING") == "JOB_STATE_CANCELLING"
    assert living(pids) == []
    assert job.wait() == "JOB_STATE_CANCELLED"
    assert len(pids) >= 3, "an executor, an SDK worker, and what that started"
    assert result.state == "CANCELLED"


def test_a_killed_sdk_worker_is_another_attempt_and_a_job_outlives_its_submitter(storage, tmp_path):
    file = tmp_path / "begun"
    with dataflow_service(storage.url, attempts=2) as service:
        options = json.dumps(service.options("orphan"))
        arguments = json.dumps({"begun": str(file)})
        subprocess.run(
            [sys.executable, "-m", "tests.services.dataflow_jobs", "sleeping", options, arguments],
            env={**os.environ, **service.environment},
            check=True,
        )
        job = begun(service, file, "orphan")
        first = job.pids
        os.kill(job.worker_pids[0], signal.SIGKILL)
        wait_until(lambda: job.attempts == 2 and job.worker_pids)
        second = job.pids

    assert "SDK harness sdk-0-0 disconnected" in job.errors[0]
    assert job.state == "JOB_STATE_CANCELLED"
    assert living([*first, *second]) == []


def test_a_second_job_of_a_name_is_refused_while_the_first_one_is_not_over(service):
    from google.api_core.exceptions import Conflict

    service.faults = [never_starts("twin")]

    first = submit("failing", service.options("twin"))
    with pytest.raises(Conflict, match="There is already an active job named twin"):
        submit("failing", service.options("twin"))
    first.cancel()
    service.job("twin").wait()
    second = submit("failing", service.options("twin"))

    assert first.job_id() != second.job_id()
    service.job("twin").cancel()


def test_a_service_that_answers_with_the_first_job_is_understood_too(storage):
    from apache_beam.runners.dataflow.internal.apiclient import DataflowJobAlreadyExistsError

    with dataflow_service(storage.url, returns_duplicates=True) as service:
        service.faults = [never_starts()]
        submit("failing", service.options("twin"))

        with pytest.raises(DataflowJobAlreadyExistsError, match="already active job named twin"):
            submit("failing", service.options("twin"))


def test_a_submission_whose_answer_is_lost_is_repeated_and_makes_one_job(service):
    service.faults = [never_starts("lost")]

    with service.broken(Fault(on="POST", is_lost=True, times=1)) as (fault,):
        result = submit("failing", service.options("lost"))

    assert fault.met == 1
    assert [job.id for job in service.jobs if job.name == "lost"] == [result.job_id()]
    result.cancel()


def test_a_project_with_too_many_jobs_is_refused_another_one(service):
    from google.api_core.exceptions import TooManyRequests

    service.faults = [JobFault(name="one-more", refusal=too_many_jobs())]
    asked = service.count("POST")

    with pytest.raises(TooManyRequests, match="jobs-per-project quota"):
        submit("failing", service.options("one-more"))

    assert service.count("POST") == asked + 1
    assert "one-more" not in [job.name for job in service.jobs]


@pytest.mark.parametrize(
    "fault, words",
    [
        pytest.param(no_cpu_quota("poor"), "klio-tests has insufficient quota", id="quota"),
        pytest.param(no_machines("poor"), "ZONE_RESOURCE_POOL_EXHAUSTED", id="no machines"),
    ],
)
def test_a_job_that_gets_no_machines_fails_with_the_services_words(service, fault, words):
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException

    service.faults = [fault]

    result = submit("failing", service.options("poor"))
    with pytest.raises(DataflowRuntimeException, match=words):
        result.wait_until_finish()

    assert service.job("poor").attempts == 0


def test_a_job_that_stalls_runs_without_a_process_until_it_is_cancelled(service):
    service.faults = [stalls("stalled")]

    result = submit("failing", service.options("stalled"))
    job = service.job("stalled")
    job.wait("RUNNING")

    assert (result.state, job.pids) == ("RUNNING", [])
    result.cancel()
    assert job.wait() == "JOB_STATE_CANCELLED"


def test_polling_goes_on_after_the_api_was_out_of_order(service):
    service.faults = [stalls("patient", lasts_s=2.0)]

    result = submit("failing", service.options("patient"))
    fault = Fault(status=503, on="GET", times=3)
    with service.broken(fault), pytest.raises(Exception, match="no worker activity has been seen"):
        result.wait_until_finish()

    assert fault.met == 3


def test_jobs_are_listed_by_name_and_state_in_pages(service):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.dataflow_v1beta3 import JobsV1Beta3Client, ListJobsRequest

    service.faults = [never_starts("listed", lasts_s=None)]
    client = JobsV1Beta3Client(
        credentials=AnonymousCredentials(),
        transport="rest",
        client_options={"api_endpoint": service.endpoint},
    )
    for name in ("listed-1", "listed-2"):
        submit("failing", service.options(name, labels=["klio-run=abc"]))
    service.job("listed-1").cancel()
    service.job("listed-1").wait()

    def names(**asked: Any) -> list[str]:
        request = ListJobsRequest(project_id=service.project, location=service.region, **asked)
        return [job.name for job in client.list_jobs(request) if job.name.startswith("listed")]

    assert names(page_size=1) == ["listed-2", "listed-1"]
    assert names(name="listed-1") == ["listed-1"]
    assert names(filter=ListJobsRequest.Filter.ACTIVE) == ["listed-2"]
    assert names(filter=ListJobsRequest.Filter.TERMINATED) == ["listed-1"]
    assert service.job("listed-2").labels == {"klio-run": "abc"}
    service.job("listed-2").cancel()


def test_messages_come_by_importance_and_since_a_time(service):
    service.faults = [no_machines("told")]

    result = submit("failing", service.options("told"))
    service.job("told").wait()
    client = result._runner.dataflow_client
    everything, _ = client.list_messages(result.job_id())
    errors, _ = client.list_messages(result.job_id(), minimum_importance="JOB_MESSAGE_ERROR")
    since, _ = client.list_messages(result.job_id(), start_time=errors[0].time)

    assert [each.message_text for each in errors] == service.job("told").errors
    assert [each.message_text for each in everything][-1] == "Worker pool stopped."
    assert everything[0] not in since
    assert errors[0] == since[0]
