"""What is said to a job service, and what its answers mean: Prism, Flink's job server, others."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.beam.flink import Flink
from klio_dagster.engine.beam.portable import Portable, PortableJob
from klio_dagster.engine.options import FlinkOptions, PortableOptions
from klio_dagster.engine.remote.job import Message, State, job_name
from klio_dagster.errors import (
    ConfigError,
    JobLeftError,
    NoJobError,
    RunError,
    ServiceUnavailableError,
)
from klio_dagster.store.layout import manifest_part
from klio_dagster.store.store import Store
from tests.services.faults import Fault, FaultyProxy
from tests.services.scripted_flink import ScriptedFlink
from tests.services.scripted_job_service import ScriptedJobService
from tests.services.waiting import wait_until

NAME = job_name(Manifest(run="r-1", store="", parts=(), chain=[], engine={}))
TRACE = "Traceback (most recent call last):\n  File x\nKeyError: 'mel' [while running 'e']\n"
CODE = grpc.StatusCode


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Nothing to do, and written."""
    store, part = Store.open(str(tmp_path)), manifest_part("r-1", 0)
    store.put(part, b"")
    return Manifest(run="r-1", store=store.url, parts=[part], chain=[], engine={})


def options(service: ScriptedJobService, **more: Any) -> PortableOptions:
    given = {"workers": 1, "job_endpoint": service.endpoint, "worker": "/there/worker", **more}
    return PortableOptions(kind="portable", **given)


def found(service: ScriptedJobService, manifest: Manifest) -> PortableJob:
    job = Portable(options(service)).find(manifest, None)
    assert job is not None
    return job


def test_a_pipeline_is_submitted_under_its_runs_name_with_our_workers(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    told = options(service, variables={"A": "b"}, pipeline_options={"max_parallelism": 7})

    job = Portable(told).submit(manifest)

    assert (job.info.id, job.info.name) == ("submitted-1", NAME)
    given = {name.split(":")[2]: value for name, value in service.given.items() if ":" in name}
    assert given["job_name"] == NAME
    assert given["environment_type"] == "PROCESS"
    assert json.loads(given["environment_config"]) == {
        "command": "/there/worker",
        "env": {"A": "b"},
    }
    assert job.look().state is State.RUNNING


@pytest.mark.parametrize("method", ["Prepare", "Run"])
def test_a_pipeline_that_is_refused_is_told_in_the_services_words(
    service: ScriptedJobService, manifest: Manifest, method: str
) -> None:
    service.refused[method] = (CODE.INVALID_ARGUMENT, "no such urn")

    with pytest.raises(RunError, match=r"engine 'portable': its job service refuses \(no such urn"):
        Portable(options(service)).submit(manifest)


def test_wrong_options_of_beam_are_the_engines_and_no_traceback(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    told = options(service, environment="process", pipeline_options={"environment_config": "{"})

    with pytest.raises(ConfigError, match=r"engine 'portable': .*mend its options"):
        Portable(told).submit(manifest)


def test_the_job_that_goes_on_is_found_by_its_name(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    service.add("other", "klio-another")
    service.add("ended", NAME, states=["DONE"])
    service.add("ours", NAME, states=["RUNNING"])

    assert found(service, manifest).info.id == "ours"


def test_an_old_id_that_another_job_has_by_now_is_not_ours(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    service.add("job-001", "klio-another")

    assert Portable(options(service)).find(manifest, "job-001") is None


def test_a_job_whose_id_is_known_is_found_by_it(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    service.add("job-001", NAME, states=["RUNNING"])
    service.add("job-002", NAME, states=["DONE"])

    job = Portable(options(service)).find(manifest, "job-002")

    assert job is not None
    assert job.info.id == "job-002"


def test_a_job_whose_server_ended_with_its_driver_is_none(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    own = replace(options(service), job_endpoint="")

    assert Portable(own).find(manifest, "job-001") is None


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ("STARTING", State.WAITING),
        ("RUNNING", State.RUNNING),
        ("CANCELLING", State.CANCELLING),
        ("DONE", State.DONE),
        ("FAILED", State.FAILED),
        ("CANCELLED", State.CANCELLED),
    ],
    ids=str,
)
def test_its_words_have_our_meaning(
    service: ScriptedJobService, manifest: Manifest, shown: str, state: State
) -> None:
    service.add("ours", NAME, states=[shown])

    look = found(service, manifest).look()

    assert (look.state, look.shown) == (state, shown)


def test_what_matters_of_what_it_says_is_passed_on_and_its_errors_are_the_reason(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    said = [("DEBUG", "a stage"), ("WARNING", "slow"), ("ERROR", TRACE), ("BASIC", "done")]
    service.add("ours", NAME, states=["FAILED"], messages=said)
    job = found(service, manifest)

    messages: list[Message] = []
    wait_until(lambda: messages.extend(job.look().messages) or len(messages) >= 2, 20.0)

    assert messages == [Message("slow"), Message(TRACE, is_error=True)]
    assert job.error() == "KeyError: 'mel'"


def test_a_reason_that_comes_a_moment_after_the_end_is_waited_for(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    service.add("ours", NAME, states=["FAILED"], messages=[("ERROR", TRACE)], late_s=0.5)
    job = found(service, manifest)

    assert job.look().state is State.FAILED
    assert job.error() == "KeyError: 'mel'"


def test_a_cancelled_job_is_cancelled_there(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    service.add("ours", NAME)
    job = found(service, manifest)

    job.cancel()

    assert [job.look().state for _ in range(2)] == [State.CANCELLING, State.CANCELLED]


def test_a_job_that_it_forgot_says_so(service: ScriptedJobService, manifest: Manifest) -> None:
    service.add("ours", NAME)
    job = found(service, manifest)
    service.jobs.clear()

    with pytest.raises(NoJobError, match="ours not found"):
        job.look()


def test_a_service_that_is_gone_is_worth_another_try(
    service: ScriptedJobService, manifest: Manifest
) -> None:
    service.add("ours", NAME)
    job = found(service, manifest)
    service.stop()

    with pytest.raises(ServiceUnavailableError, match=r"does not answer .*mend job_endpoint"):
        job.look()


def flink(cluster: ScriptedFlink, service: ScriptedJobService, **more: Any) -> FlinkOptions:
    given = {"workers": 1, "job_endpoint": service.endpoint, "worker": "/there/worker", **more}
    return FlinkOptions(kind="flink", **{"master": cluster.master, **given})


def shown_after(cluster: ScriptedFlink, pauses: int) -> Callable[[float], None]:
    """The job comes to the cluster after so many looks."""
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == pauses:
            cluster.add("new", NAME, started=5000)

    return pause


def test_a_flink_job_is_the_one_that_comes_to_the_cluster_and_not_an_old_one(
    cluster: ScriptedFlink, service: ScriptedJobService, manifest: Manifest
) -> None:
    first = replace(manifest, clock=(1.0, 1.0))
    cluster.add("old", job_name(first), states=["RUNNING"], started=9000)
    told = flink(cluster, service, parallelism=3)

    job = Flink(told, pause=shown_after(cluster, pauses=2)).submit(manifest)

    assert job.info.id == "new"
    assert job.look().messages == []
    assert service.given["beam:option:parallelism:v1"] == "3"
    assert service.given["beam:option:flink_master:v1"] == cluster.master


def test_a_cluster_that_restarts_nothing_is_said_with_the_first_look(
    cluster: ScriptedFlink, service: ScriptedJobService, manifest: Manifest
) -> None:
    cluster.settings = {}
    job = Flink(flink(cluster, service), pause=shown_after(cluster, pauses=1)).submit(manifest)

    first, second = job.look(), job.look()

    assert [each.text.partition(" (")[0] for each in first.messages] == [
        "the cluster restarts nothing"
    ]
    assert second.messages == []


def test_a_cluster_that_is_not_there_is_said_before_anything_is_submitted(
    cluster: ScriptedFlink, service: ScriptedJobService, manifest: Manifest
) -> None:
    with pytest.raises(ServiceUnavailableError, match="mend master"):
        Flink(flink(cluster, service, master="127.0.0.1:1")).submit(manifest)

    assert service.asked == []


def test_a_job_that_fails_before_the_cluster_has_it_says_why(
    cluster: ScriptedFlink, service: ScriptedJobService, manifest: Manifest
) -> None:
    service.next_job.states = ["STARTING", "FAILED"]
    service.next_job.messages = [("ERROR", "RuntimeError: no jar")]
    pauses = iter([None] * 20)

    with pytest.raises(RunError, match="no job came of it: RuntimeError: no jar"):
        Flink(flink(cluster, service), pause=lambda _: next(pauses)).submit(manifest)


def test_a_job_that_never_comes_to_the_cluster_is_not_waited_for_for_ever(
    cluster: ScriptedFlink, service: ScriptedJobService, manifest: Manifest
) -> None:
    now = [0.0]

    def pause(_seconds: float) -> None:
        now[0] += 100.0

    with pytest.raises(JobLeftError, match="has not come to the cluster, for 300 s"):
        Flink(flink(cluster, service), clock=lambda: now[0], pause=pause).submit(manifest)


def test_a_cluster_that_is_silent_while_the_job_comes_to_it_loses_no_job(
    cluster: ScriptedFlink, service: ScriptedJobService, manifest: Manifest
) -> None:
    with FaultyProxy(cluster.url) as proxy:
        silent = Fault(status=503, where="/jobs/overview", after=1, times=3)
        told = flink(cluster, service, master=proxy.url)

        with proxy.broken(silent):
            job = Flink(told, pause=shown_after(cluster, pauses=2)).submit(manifest)

    assert job.info.id == "new"
    assert silent.met == 3
