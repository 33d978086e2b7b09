"""What the doctor learns of the folders that Dataflow is given."""

import json
from collections.abc import Iterator, Mapping

import pytest

from klio_dagster.engine.remote.ask import answers
from klio_dagster.engine.remote.job import Answer, Verdict
from klio_dagster.store.access import ACCESS_VARIABLE
from tests.services.buckets import bucket_at
from tests.services.dataflow import PROJECT, REGION, DataflowService
from tests.services.faults import Fault, FaultyProxy
from tests.services.gcs import BUCKET, GcsServer

FOLDER = f"gs://{BUCKET}/dataflow"


@pytest.fixture
def proxy(
    gcs: GcsServer, dataflow_jobs: DataflowService, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyProxy]:
    """Before the bucket, for who has the environment of a launcher."""
    with FaultyProxy(gcs.url) as proxy:
        access = bucket_at("gs", proxy.url).store().access
        monkeypatch.setenv(ACCESS_VARIABLE, access.to_text())
        yield proxy


def asked(service: DataflowService, **more: str) -> Mapping[str, Answer]:
    engine = {
        "kind": "dataflow",
        "project": PROJECT,
        "region": REGION,
        "endpoint": service.endpoint,
        "pipeline_options": {"temp_location": FOLDER, **more},
    }
    return {answer.what: answer for answer in answers(json.dumps(engine), 60)}


def test_a_folder_that_can_be_written_is_fine_and_as_it_was(
    proxy: FaultyProxy, dataflow_jobs: DataflowService, gcs: GcsServer
) -> None:
    found = asked(dataflow_jobs)

    assert {what: answer.verdict for what, answer in found.items()} == {
        "service": Verdict.OK,
        "temp_location": Verdict.OK,
    }
    assert gcs.names() == []


def test_what_may_be_written_and_not_removed_is_a_warning_that_names_it(
    proxy: FaultyProxy, dataflow_jobs: DataflowService, gcs: GcsServer
) -> None:
    with proxy.broken(Fault(status=403, on="DELETE")):
        found = asked(dataflow_jobs)["temp_location"]

    (left,) = gcs.names()
    assert found.verdict is Verdict.WARN
    assert f"{FOLDER} can be written" in found.said
    assert left.rpartition("/")[2] in found.said
    assert found.remedy


def test_a_folder_that_cannot_be_written_is_none(
    proxy: FaultyProxy, dataflow_jobs: DataflowService, gcs: GcsServer
) -> None:
    with proxy.broken(Fault(status=403, on="PUT POST")):
        found = asked(dataflow_jobs)

    assert found["service"].verdict is Verdict.OK, "it is the folder that is closed"
    assert found["temp_location"].verdict is Verdict.FAIL
    assert FOLDER in found["temp_location"].said
    assert gcs.names() == []


def test_where_code_is_staged_is_tried_as_well(
    proxy: FaultyProxy, dataflow_jobs: DataflowService, gcs: GcsServer
) -> None:
    found = asked(dataflow_jobs, staging_location="gs://no-such-bucket/staging")

    assert found["temp_location"].verdict is Verdict.OK
    assert found["staging_location"].verdict is Verdict.FAIL
    assert "gs://no-such-bucket/staging" in found["staging_location"].said
    assert found["staging_location"].remedy
    assert gcs.names() == []


@pytest.mark.parametrize("staging", [FOLDER, f"{FOLDER}/"], ids=["the same", "with a slash"])
def test_a_folder_that_is_both_is_tried_once(
    proxy: FaultyProxy, dataflow_jobs: DataflowService, staging: str
) -> None:
    assert set(asked(dataflow_jobs, staging_location=staging)) == {"service", "temp_location"}


def test_an_option_that_beam_does_not_know_is_a_warning_with_the_one_that_was_meant(
    proxy: FaultyProxy, dataflow_jobs: DataflowService
) -> None:
    found = asked(dataflow_jobs, wroker_zone="europe-west4-a")["pipeline_options"]

    assert found.verdict is Verdict.WARN
    assert "'wroker_zone'" in found.said
    assert found.remedy == "did you mean 'worker_zone'?"
