"""What `klio doctor` says of engines elsewhere: there, not there, closed to us, and what helps."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc
import pytest

from klio_dagster.defs.engines import DataflowEngine, FlinkEngine, PortableEngine, PrismEngine
from klio_dagster.engine.remote.ask import answers
from klio_dagster.observe.doctor import engines
from klio_dagster.observe.doctor.engines import EngineInUse, engine_check
from klio_dagster.observe.doctor.examine import examine
from klio_dagster.observe.doctor.finding import Finding, Verdict
from tests.observe.doctored import of, verdicts
from tests.services.buckets import bucket_at
from tests.services.dataflow import PROJECT, REGION, DataflowService
from tests.services.dataflow_account import write_key_file
from tests.services.faults import Fault, FaultyProxy
from tests.services.gcs import BUCKET, GcsServer
from tests.services.scripted_flink import ScriptedFlink
from tests.services.scripted_job_service import ScriptedJobService
from tests.services.web import Answer, Server

NOBODY = "127.0.0.1:1"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is asked by this process, which has loaded Beam."""

    def asked(arguments: Sequence[str], within_s: float) -> str:
        *ask, engine, seconds = arguments
        assert ask == ["-m", "klio_dagster.engine.remote.ask"]
        assert float(seconds) == within_s
        return "".join(f"{json.dumps(asdict(each))}\n" for each in answers(engine, within_s))

    monkeypatch.setattr(engines, "child", asked)


def findings(options: Mapping[str, Any], within_s: float = 120) -> Sequence[Finding]:
    engine = EngineInUse(
        options=options, memory={}, transforms=[], is_deep=False, within_s=within_s
    )
    return examine([engine_check(engine)], within_s=150).findings


def flink(master: str, endpoint: str, **fields: Any) -> dict[str, Any]:
    given = {"master": master, "job_endpoint": endpoint, "worker": sys.executable, **fields}
    return FlinkEngine(**given).to_manifest()


def portable(endpoint: str, **fields: Any) -> dict[str, Any]:
    return PortableEngine(
        **{"job_endpoint": endpoint, "worker": sys.executable, **fields}
    ).to_manifest()


def test_a_cluster_that_has_all_a_job_needs_is_fine(
    cluster: ScriptedFlink, service: ScriptedJobService
) -> None:
    """Asked as it is in earnest: by a process of its own."""
    found = findings(flink(cluster.master, service.endpoint, parallelism=2))

    assert verdicts(found) == dict.fromkeys(("slots", "restarts", "job server", "worker"), "ok")
    slots = of(found, "slots")
    assert (slots.subject, slots.where) == ("engine", "flink")
    assert slots.said == "Flink 1.19.3, 2 slots, 2 of them free"
    assert slots.figures == {"slots": 2, "free": 2}


@pytest.mark.parametrize(
    ("slots", "remedy"),
    [(3, "set parallelism to 3"), (0, "start task managers")],
    ids=["too few", "none"],
)
def test_a_cluster_with_too_few_slots_cannot_run_a_job(
    here: None, cluster: ScriptedFlink, service: ScriptedJobService, slots: int, remedy: str
) -> None:
    cluster.slots, cluster.free = slots, 0

    found = findings(flink(cluster.master, service.endpoint, parallelism=4))

    failed = of(found, "slots")
    assert failed.verdict is Verdict.FAIL
    assert failed.said.endswith(f"{slots} slots, 0 of them free; a job takes 4")
    assert remedy in failed.remedy
    assert verdicts(found)["job server"] == "ok", "what is wrong hides nothing else"


def test_slots_that_are_taken_for_now_are_no_fault(
    here: None, cluster: ScriptedFlink, service: ScriptedJobService
) -> None:
    cluster.free = 0

    assert of(findings(flink(cluster.master, service.endpoint)), "slots").verdict is Verdict.OK


def test_a_cluster_that_restarts_nothing_is_a_warning_with_the_setting(
    here: None, cluster: ScriptedFlink, service: ScriptedJobService
) -> None:
    cluster.settings = {"restart-strategy.type": "disable"}

    warned = of(findings(flink(cluster.master, service.endpoint)), "restarts")

    assert warned.verdict is Verdict.WARN
    assert "restart-strategy.type: fixed-delay" in warned.remedy


def test_a_cluster_that_is_not_there_is_said_with_its_address(here: None) -> None:
    (failed,) = findings(flink(NOBODY, NOBODY))

    assert failed.verdict is Verdict.FAIL
    assert failed.said.startswith(f"Flink at http://{NOBODY}: it does not answer")
    assert failed.remedy == "start it, or mend master"


def test_a_cluster_that_does_not_let_us_in_is_said_so(
    here: None, cluster: ScriptedFlink, service: ScriptedJobService
) -> None:
    with FaultyProxy(cluster.url) as proxy, proxy.broken(Fault(status=403)):
        (failed,) = findings(flink(proxy.url, service.endpoint))

    assert failed.verdict is Verdict.FAIL
    assert "it refuses" in failed.said


def test_a_server_that_is_no_flink_is_no_cluster_without_slots(
    here: None, cluster: ScriptedFlink, service: ScriptedJobService
) -> None:
    (failed,) = findings(flink(f"{cluster.url}/elsewhere", service.endpoint))

    assert "it is no Flink cluster" in failed.said
    assert failed.remedy == "mend master"


def test_a_job_server_that_is_not_there_is_found_beside_the_cluster(
    here: None, cluster: ScriptedFlink
) -> None:
    found = findings(flink(cluster.master, NOBODY))

    assert verdicts(found) == {"slots": "ok", "restarts": "ok", "service": "fail"}
    assert "job service does not answer" in of(found, "service").said
    assert of(found, "service").remedy == "start it, or mend job_endpoint"


def test_a_jar_that_is_not_there_is_named(here: None, cluster: ScriptedFlink) -> None:
    engine = FlinkEngine(master=cluster.master, job_server_jar="/nowhere/server.jar")

    failed = of(findings(engine.to_manifest()), "service")

    assert failed.said == "FlinkEngine(job_server_jar=): there is no file /nowhere/server.jar"
    assert failed.remedy == "mend the path"


def test_a_worker_that_is_not_on_this_machine_is_to_be_looked_for_elsewhere(
    here: None, service: ScriptedJobService
) -> None:
    warned = of(findings(portable(service.endpoint, worker="/opt/klio/klio-sdk-worker")), "worker")

    assert warned.verdict is Verdict.WARN
    assert warned.said.startswith("/opt/klio/klio-sdk-worker is not on this machine")
    assert "worker=" in warned.remedy


def test_a_worker_that_is_not_installed_here_says_how_it_is(
    here: None, service: ScriptedJobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    found = findings(PortableEngine(job_endpoint=service.endpoint).to_manifest())

    assert verdicts(found) == {"job service": "ok", "service": "fail"}
    failed = of(found, "service")
    assert failed.said == "engine: there is no klio-sdk-worker beside /nowhere/python"
    assert "install klio-dagster as a package, or set worker=" in failed.remedy


def test_workers_of_an_image_are_named(here: None, service: ScriptedJobService) -> None:
    told = portable(service.endpoint, environment="docker", worker="registry/klio:1")

    assert of(findings(told), "worker").said == "docker: registry/klio:1"


def test_an_option_that_neither_beam_nor_the_service_knows_is_a_warning(
    here: None, service: ScriptedJobService
) -> None:
    service.reads = ["slots_of_mine"]
    given = {"slots_of_mine": 3, "sdk_worker_paralelism": 2}

    found = findings(portable(service.endpoint, pipeline_options=given))

    warned = of(found, "pipeline_options")
    assert warned.verdict is Verdict.WARN
    assert warned.said == "Beam knows no option 'sdk_worker_paralelism'"
    assert warned.remedy == "did you mean 'sdk_worker_parallelism'?"
    assert verdicts(found)["worker"] == "ok"


def test_a_job_service_that_answers_is_fine(here: None, service: ScriptedJobService) -> None:
    found = findings(portable(service.endpoint))

    assert verdicts(found) == {"job service": "ok", "worker": "ok"}
    assert of(found, "job service").said == f"{service.endpoint} answers"


def test_a_job_service_that_is_not_there_says_to_start_it(here: None) -> None:
    (failed,) = findings(PrismEngine(job_endpoint=NOBODY).to_manifest())

    assert failed.where == "prism"
    assert failed.said.startswith("engine 'prism': its job service does not answer")
    assert failed.remedy == "start it, or mend job_endpoint"


def test_a_job_service_that_does_not_let_us_in_says_so(
    here: None, service: ScriptedJobService
) -> None:
    service.refused["GetJobs"] = (grpc.StatusCode.PERMISSION_DENIED, "not you")

    (failed,) = findings(portable(service.endpoint))

    assert failed.said == "engine 'portable': its job service refuses (not you)"


def test_a_prism_that_is_not_there_is_named(here: None) -> None:
    (failed,) = findings(PrismEngine(location="/nowhere/prism").to_manifest())

    assert failed.said == "PrismEngine(location=): there is no file /nowhere/prism"


def test_wrong_options_are_told_by_the_process_that_is_asked(here: None) -> None:
    (failed,) = findings({**portable(NOBODY), "pipeline_options": {"streaming": True}})

    assert failed.verdict is Verdict.FAIL
    assert "build_klio_pubsub_sensor" in failed.remedy


@pytest.fixture
def google(
    here: None, dataflow: DataflowService, gcs: GcsServer, monkeypatch: pytest.MonkeyPatch
) -> DataflowService:
    """A service that knows us, and a bucket."""
    from apache_beam.internal.gcp import auth

    access = bucket_at("gs", gcs.url).store().access
    monkeypatch.setattr(auth._Credentials, "_credentials_init", False)  # once a process, else
    monkeypatch.setattr("socket.getdefaulttimeout", lambda: 60)  # or Beam sets it for all of us
    monkeypatch.setenv("KLIO_STORE_OPTIONS", access.to_text())
    for name, value in dataflow.environment.items():
        monkeypatch.setenv(name, value)
    return dataflow


def on_dataflow(service: DataflowService, **fields: Any) -> dict[str, Any]:
    given = {"project": PROJECT, "region": REGION, "endpoint": service.endpoint}
    given |= {"temp_location": f"gs://{BUCKET}/dataflow", **fields}
    return DataflowEngine(**given).to_manifest()


def test_a_project_that_lets_us_in_and_a_bucket_that_can_be_written_are_fine(
    google: DataflowService, gcs: GcsServer
) -> None:
    found = findings(on_dataflow(google))

    assert verdicts(found) == {"service": "ok", "temp_location": "ok"}
    assert of(found, "service").said == (
        f"Dataflow in project '{PROJECT}', region '{REGION}' answers"
    )
    assert [name for name in gcs.names() if "klio-doctor" in name] == [], "nothing is left"
    assert google.jobs == []


def test_a_project_that_does_not_let_us_in_says_which_role_is_missing(
    google: DataflowService,
) -> None:
    with google.broken(Fault(status=403)):
        (failed,) = findings(on_dataflow(google))

    assert failed.verdict is Verdict.FAIL
    assert "not permitted" in failed.said
    assert "roles/dataflow.developer" in failed.remedy


def test_a_service_that_is_not_there_is_said_with_project_and_region(
    google: DataflowService,
) -> None:
    (failed,) = findings(on_dataflow(google, endpoint="http://localhost:1"))

    assert failed.said.startswith(f"Dataflow in project '{PROJECT}', region '{REGION}': it does")
    assert failed.remedy == "try again later"


def test_credentials_that_were_taken_back_are_said_so(
    google: DataflowService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = b'{"error": "invalid_grant", "error_description": "Account has been deleted"}'
    with Server(lambda _: Answer(400, refusal, "application/json")) as tokens:
        write_key_file(tmp_path / "key.json", PROJECT, tokens.url)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))

        (failed,) = findings(on_dataflow(google))

    assert failed.verdict is Verdict.FAIL
    assert "no credentials" in failed.said
    assert "Account has been deleted" in failed.said
    assert "gcloud auth application-default login" in failed.remedy


def test_a_bucket_that_is_not_there_is_found_beside_the_service(google: DataflowService) -> None:
    found = findings(on_dataflow(google, temp_location="gs://no-such-bucket/dataflow"))

    assert [each.verdict for each in found] == [Verdict.OK, Verdict.FAIL]
    assert "no-such-bucket" in found[1].said
    assert found[1].remedy
