"""A catalogue whose outputs lie in a bucket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from klio_dagster.store.store import Store
from tests.buckets.bucket_catalogue import BucketCatalogue
from tests.flows.catalogue import home_in
from tests.services.buckets import bucket_at
from tests.services.faults import FaultyProxy
from tests.services.gcs import GcsServer


@pytest.fixture
def proxy(gcs: GcsServer) -> Iterator[FaultyProxy]:
    """Before a GCS server."""
    with FaultyProxy(gcs.url) as proxy:
        yield proxy


@pytest.fixture
def catalogue(tmp_path: Path, proxy: FaultyProxy) -> Iterator[BucketCatalogue]:
    """Nothing computed; everything it does goes through the proxy."""
    with home_in(tmp_path) as instance:
        yield BucketCatalogue(tmp_path, instance, bucket_at("gs", proxy.url))


@pytest.fixture
def direct(catalogue: BucketCatalogue, gcs: GcsServer) -> Store:
    """The catalogue's store, past the proxy."""
    return catalogue.bucket.at(gcs.url).store()
