"""A catalogue whose jobs a Dataflow service executes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from klio_dagster.store.store import Store
from tests.dataflow.dataflow_catalogue import DataflowCatalogue
from tests.flows.catalogue import home_in
from tests.services.buckets import bucket_at
from tests.services.dataflow import DataflowService, dataflow_service
from tests.services.gcs import GcsServer


@pytest.fixture
def dataflow_jobs(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataflowService]:
    """A service whose workers reach the tests' buckets, and the environment to submit to it."""
    store: Store = bucket_at("gs", gcs.url).store()
    options = {"KLIO_STORE_OPTIONS": store.access.to_text()}
    with dataflow_service(gcs.url, attempts=2, environment=options) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def catalogue(
    tmp_path: Path, gcs: GcsServer, dataflow_jobs: DataflowService
) -> Iterator[DataflowCatalogue]:
    """Nothing computed."""
    # A process that is killed opens the same instance.
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    with home_in(tmp_path) as instance:
        yield DataflowCatalogue(tmp_path, instance, gcs.url, dataflow_jobs.endpoint)
