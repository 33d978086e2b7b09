"""Where workers are started: what is said of their command rests on it."""

import socket
import sys
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.transforms.environments import DockerEnvironment

from klio_dagster.defs.engines import FlinkEngine, PortableEngine, PrismEngine
from klio_dagster.engine.beam.flink import Flink
from klio_dagster.engine.beam.portable import Portable, pipeline_options
from klio_dagster.engine.options import engine_options
from klio_dagster.engine.remote import place
from klio_dagster.engine.remote.job import Answer, Verdict
from klio_dagster.engine.remote.place import is_here, uses_this_environment
from tests.services.scripted_flink import ScriptedFlink
from tests.services.scripted_job_service import ScriptedJobService

ELSEWHERE = "flink.example.com"


def options(engine: FlinkEngine | PortableEngine | PrismEngine) -> Any:
    return engine_options(engine.to_manifest())


@pytest.fixture
def other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of another machine, behind which tests find this one."""
    look_up = socket.getaddrinfo

    def found(host: str, *more: Any, **named: Any) -> Any:
        return look_up("127.0.0.1" if host == ELSEWHERE else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", found)


def of_flink(host: str, worker: str | None) -> Answer:
    with ScriptedFlink() as cluster, ScriptedJobService() as service:
        port = cluster.master.rpartition(":")[2]
        engine = FlinkEngine(master=f"{host}:{port}", job_endpoint=service.endpoint, worker=worker)
        return {each.what: each for each in Flink(options(engine)).check()}["worker"]


@pytest.mark.parametrize("worker", [None, sys.executable], ids=["of this environment", "a path"])
def test_a_command_that_is_here_says_nothing_of_a_cluster_elsewhere(
    other_machine: None, worker: str | None
) -> None:
    found = of_flink(ELSEWHERE, worker)

    assert found.verdict is Verdict.WARN
    assert f"has to be where {ELSEWHERE}:" in found.said
    assert found.remedy == "look there, or set worker= to where klio-sdk-worker is"


def test_a_command_that_is_here_is_what_a_cluster_of_this_machine_starts() -> None:
    found = of_flink("127.0.0.1", sys.executable)

    assert (found.verdict, found.said) == (Verdict.OK, sys.executable)


def test_an_image_that_beams_own_option_names_is_taken() -> None:
    image = "registry/klio:1"
    named = {"environment_options": [f"docker_container_image={image}"]}
    with ScriptedJobService() as service:
        told = options(
            PortableEngine(
                job_endpoint=service.endpoint, environment="docker", pipeline_options=named
            )
        )
        answers = {each.what: each for each in Portable(told).check()}

    assert answers["worker"].said == "docker: as environment_options say"
    fields = {**pipeline_options(told, "there:1"), **told.pipeline_options}
    beams = PipelineOptions(flags=[], **fields).view_as(PortableOptions)
    assert DockerEnvironment.from_options(beams).container_image == image


@pytest.mark.parametrize(
    "address",
    ["", "localhost:8081", "http://LOCALHOST", "127.1.2.3:80", "[::1]:8081", "this-one:8081"],
)
def test_what_is_here_says_so_itself(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.socket, "gethostname", lambda: "This-One")

    assert is_here(address)


@pytest.mark.parametrize(
    "address",
    [
        "flink:8081",
        "https://flink.example.com/x",
        "10.0.0.7:80",
        "localhost.example.com",
        "http://[::1",
    ],
)
def test_all_else_is_elsewhere(address: str) -> None:
    assert not is_here(address)


@pytest.mark.parametrize(
    ("engine", "is_ours"),
    [
        pytest.param(PrismEngine(location="/opt/prism"), True, id="a Prism of the run"),
        pytest.param(PrismEngine(job_endpoint="localhost:1"), True, id="one of this machine"),
        pytest.param(PrismEngine(job_endpoint="there:1"), False, id="one elsewhere"),
        pytest.param(
            FlinkEngine(master="there:1", job_server_jar="x.jar"), False, id="Flink elsewhere"
        ),
        pytest.param(
            PortableEngine(job_endpoint="localhost:1", worker="/w"), False, id="another command"
        ),
        pytest.param(
            PortableEngine(job_endpoint="localhost:1", environment="docker", worker="i"),
            False,
            id="an image",
        ),
    ],
)
def test_workers_of_this_machine_have_its_environment(
    engine: FlinkEngine | PortableEngine | PrismEngine, is_ours: bool
) -> None:
    assert uses_this_environment(options(engine)) is is_ours
