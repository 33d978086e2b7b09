"""The pages on engines elsewhere: what they define is understood, and executed as far as it can be.

Dataflow is its double, Flink a cluster that is not there; `make test-engines` has a real one.
"""

import ast
import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
import yaml
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from klio_dagster import KlioResource
from klio_dagster.defs.engines import RemoteEngine
from klio_dagster.engine.beam.flink_rest import FlinkRest
from klio_dagster.engine.options import engine_options
from klio_dagster.store.access import ACCESS_VARIABLE, Access
from tests.docs.page import README, ROOT, blocks
from tests.services.dataflow import dataflow_service
from tests.services.gcs import gcs_options

HOW_TO = ROOT / "docs" / "how-to"
DATAFLOW, FLINK = HOW_TO / "run-on-dataflow.md", HOW_TO / "run-on-flink.md"
IMAGE = HOW_TO / "build-a-worker-image.md"
LOCAL = 'klio = KlioResource(store="data")\n'


def python_of(page):
    return [block.text for block in blocks(page) if block.language == "python" and not block.file]


def engines_of(page):
    """Every remote engine that a page makes, whether it names it or not."""
    found = []
    for text in python_of(page):
        tree = ast.parse(text)
        for number, node in enumerate(tree.body):
            if isinstance(node, ast.Expr):
                name = ast.Name(f"unnamed_{number}", ast.Store())
                tree.body[number] = ast.Assign([name], node.value)
        names = {}
        exec(compile(ast.fix_missing_locations(tree), page.name, "exec"), names)
        values = [v.engine if isinstance(v, KlioResource) else v for v in names.values()]
        found += [value for value in values if isinstance(value, RemoteEngine)]
    return found


@pytest.mark.parametrize(
    ("page", "kinds"),
    [
        pytest.param(README, ["dataflow"], id="README"),
        pytest.param(DATAFLOW, ["dataflow"], id="dataflow"),
        pytest.param(FLINK, ["flink", "flink"], id="flink"),
        pytest.param(IMAGE, ["dataflow", "dataflow"], id="image"),
    ],
)
def test_the_engines_of_a_page_are_what_a_driver_understands(page, kinds):
    told = [engine_options(engine.to_manifest()) for engine in engines_of(page)]

    assert [each.kind for each in told] == kinds
    for each in told:
        beams = PipelineOptions(flags=[], **each.pipeline_options).get_all_options()
        assert dict(each.pipeline_options).items() <= beams.items()


def test_the_labels_of_the_page_are_those_of_the_job():
    (engine,) = engines_of(DATAFLOW)

    told = PipelineOptions(flags=[], **engine.to_manifest()["pipeline_options"])

    assert told.view_as(GoogleCloudOptions).labels == ["team=discovery"]


def test_the_settings_of_the_page_are_a_restart_strategy(monkeypatch):
    (text,) = [block.text for block in blocks(FLINK) if block.language == "yaml"]
    rows = [{"key": key, "value": str(value)} for key, value in yaml.safe_load(text).items()]
    monkeypatch.setattr(FlinkRest, "ask", lambda *_: rows)

    assert FlinkRest("flink.example.com:8081").restart_strategy() == "fixed-delay"


@pytest.fixture
def klio(reader):
    """Calls the command in the project of the README, whose engine and store are a page's."""

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "klio_dagster.cli.main", *arguments],
            cwd=reader.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(reader.folder), str(ROOT)))},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    call.folder = reader.folder
    return call


def change(folder, page, *changes):
    """Put what a page says into the place of the README's resource."""
    text = python_of(page)[0]
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    path = folder / "definitions.py"
    written = path.read_text(encoding="utf-8")
    assert LOCAL in written
    path.write_text(written.replace(LOCAL, text), encoding="utf-8")


def findings(done, subject):
    told = json.loads(done.stdout)["findings"]
    return {each["what"]: each for each in told if each["subject"] == subject}


@pytest.fixture
def bucket(gcs, reader, monkeypatch):
    """The page's bucket, with the README's recordings; the options that open it."""
    gcs.buckets.create("my-bucket")
    options = gcs_options(gcs.url)
    store = KlioResource(store="gs://my-bucket/music", store_options=options).open_store()
    for path in (reader.folder / "data" / "tracks").iterdir():
        store.put(f"tracks/{path.name}", path.read_bytes())
    shutil.rmtree(reader.folder / "data")
    monkeypatch.setenv(ACCESS_VARIABLE, Access({"gs://": options}).to_text())
    return options


def test_the_project_of_the_readme_runs_on_dataflow_from_zero(klio, gcs, bucket, monkeypatch):
    workers = {"PYTHONPATH": os.pathsep.join((str(klio.folder), str(ROOT)))}
    with dataflow_service(gcs.url, attempts=2, environment=workers) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        change(
            klio.folder,
            DATAFLOW,
            (
                'store="gs://my-bucket/music",',
                f'store="gs://my-bucket/music", store_options={bucket},',
            ),
            ("DataflowEngine(\n", f'DataflowEngine(\n        endpoint="{service.endpoint}",\n'),
        )

        doctor = klio("doctor", "--json")
        synced = klio("entities", "sync")
        ran = klio("run", "--json")

        (job,) = service.jobs

    said = findings(doctor, "engine")
    assert {what: each["verdict"] for what, each in said.items()} == {
        "service": "ok",
        "temp_location": "ok",
    }, doctor.stderr
    assert synced.returncode == 0, synced.stderr
    assert ran.returncode == 0, ran.stderr
    assert {
        name: each["materialized"] for name, each in json.loads(ran.stdout)["assets"].items()
    } == {
        "recording": 2,
        "mel": 2,
    }
    assert (job.project, job.region) == ("my-project", "europe-west1")


def test_a_cluster_that_is_not_there_is_found_before_the_first_run(klio):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        change(
            klio.folder,
            FLINK,
            ('store="s3://my-bucket/music"', 'store="data"'),
            ("flink.example.com:8081", address),
        )

        done = klio("doctor", "--json")

    said = findings(done, "engine")
    assert done.returncode == 1, done.stderr
    assert said["service"]["verdict"] == "fail"
    assert "it does not answer" in said["service"]["said"]
    assert said["service"]["remedy"] == "start it, or mend master"
