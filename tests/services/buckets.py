"""Buckets of every kind, each at a server that keeps the promises of the real one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

import pytest

from klio_dagster.store.store import Store
from tests.services.azure import azure_options
from tests.services.gcs import BUCKET, gcs_options
from tests.services.s3 import s3_options

_OPTIONS: Mapping[str, Callable[[str], dict[str, str]]] = {
    "gs": gcs_options,
    "s3": s3_options,
    "az": azure_options,
}


@dataclass(frozen=True)
class Bucket:
    """A folder of its own in a bucket.

    Args:
        scheme: of its URL.
        endpoint: of its server, or of what stands before it.
        url: of the folder.
    """

    scheme: str
    endpoint: str
    url: str

    @property
    def options(self) -> dict[str, str]:
        return _OPTIONS[self.scheme](self.endpoint)

    def store(self, **options: str) -> Store:
        return Store.open(self.url, options={**self.options, **options})

    def at(self, endpoint: str) -> "Bucket":
        """The same through a proxy."""
        return Bucket(self.scheme, endpoint, self.url)


def bucket_at(scheme: str, endpoint: str) -> Bucket:
    return Bucket(scheme, endpoint, f"{scheme}://{BUCKET}/{uuid4().hex[:8]}/music")


@pytest.fixture(params=["gs", "s3", "az"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """One of each kind; skipped where its server cannot be had."""
    if request.param == "gs":
        return bucket_at("gs", request.getfixturevalue("gcs").url)
    return bucket_at(
        request.param, request.getfixturevalue({"s3": "s3", "az": "azure"}[request.param])
    )
