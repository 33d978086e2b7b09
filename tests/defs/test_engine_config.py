"""An engine that is configured wrongly is one clear error, when it is written or when a run starts.

And what is configured rightly comes to the manifest as it was written, through Dagster.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from klio_dagster.defs.engines import (
    DataflowEngine,
    FlinkEngine,
    LocalEngine,
    PortableEngine,
    Prices,
    PrismEngine,
)
from klio_dagster.defs.resource import KlioResource
from klio_dagster.engine.options import DataflowOptions, engine_options
from klio_dagster.errors import ConfigError
from klio_dagster.store.claims import read_claims
from tests.flows.catalogue import Catalogue, tracks

GIVEN: dict[type[dg.Config], dict[str, Any]] = {
    LocalEngine: {"workers": 2},
    DataflowEngine: {"project": "p", "region": "europe-west1", "temp_location": "gs://b/t"},
    FlinkEngine: {"master": "there:8081", "job_endpoint": "there:8099", "parallelism": 4},
    PrismEngine: {"job_endpoint": "there:8073"},
    PortableEngine: {"job_endpoint": "there:8099", "variables": {"A": "b"}},
}
OTHERS = [engine for engine in GIVEN if engine is not DataflowEngine]


def made(engine: type[dg.Config], **fields: Any) -> Any:
    """One that is configured rightly, but for these fields."""
    return engine(**{**GIVEN[engine], **fields})


def name_of(engine: type[dg.Config]) -> str:
    return engine.__name__


@pytest.mark.parametrize("engine", GIVEN, ids=name_of)
def test_what_is_written_comes_to_the_run_through_dagster(engine: type[dg.Config]) -> None:
    written = made(engine, pipeline_options={"save_main_session": True})
    klio = KlioResource(store="data", engine=written)

    with dg.build_resources({"klio": klio}) as resources:
        manifest = resources.klio.engine.to_manifest()

    assert manifest == written.to_manifest()
    options = engine_options(manifest)
    assert options.pipeline_options["save_main_session"] is True
    assert options.kind == written.kind


def test_prices_come_to_the_run_with_their_currency() -> None:
    prices = Prices(vcpu_hour=0.06, currency="EUR")

    options = engine_options(made(DataflowEngine, prices=prices).to_manifest())

    assert isinstance(options, DataflowOptions)
    assert options.prices["vcpu_hour"] == 0.06
    assert options.currency == "EUR"


@pytest.mark.parametrize(
    ("engine", "fields", "said"),
    [
        (DataflowEngine, {"region": None}, "region"),
        (DataflowEngine, {"num_workers": 0}, "num_workers"),
        (FlinkEngine, {"parallelism": 0}, "parallelism"),
        (FlinkEngine, {"paralelism": 8}, "paralelism"),
        (FlinkEngine, {"master": None}, "master"),
        (PrismEngine, {"environment": "podman"}, "'process', 'docker' or 'external'"),
        (PortableEngine, {"job_endpoint": None}, "job_endpoint"),
        (PortableEngine, {"start_timeout_s": 0}, "start_timeout_s"),
        (LocalEngine, {"worker": 2}, "worker"),
        (LocalEngine, {"workers": 0}, "workers"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_a_field_that_is_wrong_missing_or_unknown_is_named_when_it_is_written(
    engine: type[dg.Config], fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(
        ValidationError, match=f"(?s)1 validation error for {name_of(engine)}.*{said}"
    ):
        made(engine, **fields)


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ({"vcpu_hour": -0.06}, "vcpu_hour"),
        ({"memory_gb_hour": "a lot"}, "memory_gb_hour"),
        ({"vcpu_hours": 0.06}, "vcpu_hours"),
    ],
    ids=["negative", "no number", "of nothing"],
)
def test_a_price_that_is_none_is_named_when_it_is_written(prices: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=f"(?s)1 validation error for Prices.*{said}"):
        Prices(**prices)


JAR = "/opt/job-server.jar"


@pytest.mark.parametrize(
    ("engine", "fields", "what", "fix"),
    [
        (FlinkEngine, {"job_server_jar": JAR}, "job_server_jar or job_endpoint", "host:port"),
        (FlinkEngine, {"job_endpoint": None}, "job_server_jar or job_endpoint", "host:port"),
        (FlinkEngine, {"job_endpoint": ""}, "job_server_jar or job_endpoint", "host:port"),
        (PrismEngine, {"location": "/opt/prism"}, "location or job_endpoint", "host:port"),
        (PrismEngine, {"job_endpoint": None}, "location or job_endpoint", "host:port"),
        (PortableEngine, {"job_endpoint": ""}, "needs job_endpoint", "host:port"),
        (PortableEngine, {"environment": "docker"}, "'docker' needs worker", "image"),
        (FlinkEngine, {"environment": "external"}, "'external' needs worker", "address"),
        (DataflowEngine, {"region": ""}, "it is empty", "set the region"),
        (DataflowEngine, {"project": ""}, "it is empty", "set the project"),
        (DataflowEngine, {"temp_location": "s3://b/t"}, "'s3://b/t' is no folder", "gs://"),
        (DataflowEngine, {"temp_location": "gs://"}, "'gs://' is no folder", "gs://"),
        (DataflowEngine, {"temp_location": "gs://b"}, "'gs://b' is no folder", "gs://"),
        (DataflowEngine, {"staging_location": "/tmp/s"}, "'/tmp/s' is no folder", "gs://"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_fields_that_do_not_fit_are_one_line_that_says_how_to_mend_them(
    engine: type[dg.Config], fields: dict[str, Any], what: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        made(engine, **fields).to_manifest()

    error = raised.value
    assert error.where.startswith(name_of(engine))
    assert what in error.what
    assert fix in error.fix
    assert "\n" not in str(error)


def test_workers_that_beams_own_option_names_are_not_asked_for() -> None:
    named = {"environment_options": ["docker_container_image=registry/klio:1"]}

    told = made(PortableEngine, environment="docker", pipeline_options=named).to_manifest()

    assert told["worker"] is None
    assert engine_options(told).pipeline_options == named


@pytest.mark.parametrize("engine", OTHERS, ids=name_of)
def test_reading_pubsub_inside_the_pipeline_is_refused_with_the_name_of_the_sensor(
    engine: type[dg.Config],
) -> None:
    told = made(engine, pipeline_options={"streaming": True}).to_manifest()

    with pytest.raises(ConfigError) as raised:
        engine_options(told)

    assert raised.value.where == f"engine '{told['kind']}', pipeline_options"
    assert "Pub/Sub" in raised.value.what
    assert "Dataflow only" in raised.value.what
    assert "build_klio_pubsub_sensor" in raised.value.fix
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("engine", OTHERS, ids=name_of)
def test_a_pipeline_that_is_no_stream_may_say_so(engine: type[dg.Config]) -> None:
    told = made(engine, pipeline_options={"streaming": False}).to_manifest()

    assert engine_options(told).pipeline_options == {"streaming": False}


def test_dataflow_reads_pubsub_inside_the_pipeline() -> None:
    told = made(DataflowEngine, pipeline_options={"streaming": True}).to_manifest()

    assert engine_options(told).pipeline_options["streaming"] is True


def test_the_sensor_that_is_named_is_there() -> None:
    import klio_dagster

    assert "build_klio_pubsub_sensor" in klio_dagster.__all__


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        catalogue = Catalogue(tmp_path, instance)
        catalogue.register("a")
        catalogue.put("tracks/a.txt", b"first")
        yield catalogue


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        pytest.param(
            LocalEngine(pipeline_options={"streaming": True}),
            "build_klio_pubsub_sensor",
            id="a stream",
        ),
        pytest.param(
            FlinkEngine(master="there:8081"),
            "FlinkEngine: it needs job_server_jar or job_endpoint",
            id="no job server",
        ),
        pytest.param(
            PrismEngine(location="/nowhere/prism"),
            "PrismEngine(location=): there is no file /nowhere/prism; mend the path",
            id="no such file",
        ),
    ],
)
def test_a_run_that_cannot_start_says_so_and_leaves_nothing_behind(
    catalogue: Catalogue, engine: Any, said: str
) -> None:
    klio = KlioResource(store=str(catalogue.folder), engine=engine)

    ran = catalogue.run(tracks(), entities="all", resources={"klio": klio})

    assert not ran.success
    assert said in ran.error
    assert read_claims(catalogue.store) == []
