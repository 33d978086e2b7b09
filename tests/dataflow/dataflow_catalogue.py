"""Runs of entity assets whose jobs a Dataflow service executes, with a bucket for a store."""

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dagster as dg

from klio_dagster.defs.engines import DataflowEngine
from klio_dagster.defs.resource import KlioResource
from klio_dagster.ledger.internals.definitions import is_only_op  # noqa: F401 - loads the room
from klio_dagster.store.claim import Claim
from klio_dagster.store.claims import read_claims
from klio_dagster.store.layout import RECEIPTS_PREFIX
from tests.buckets.bucket_catalogue import BucketCatalogue
from tests.dataflow.remote_runs import launched, recordings
from tests.flows.catalogue import ENTITY_RUN, Catalogue, Outcome, home_in
from tests.services.buckets import Bucket, bucket_at
from tests.services.dataflow import PROJECT, REGION, DataflowService
from tests.services.dataflow_job import Job
from tests.services.gcs import BUCKET


class DataflowCatalogue(BucketCatalogue):
    """A store in a bucket, an instance in a folder, and a service that executes jobs.

    Args:
        folder: of the test.
        instance: Dagster's.
        storage: URL of the server of `gs://`.
        endpoint: of the service.
        url: of the store; a new one when empty.
    """

    def __init__(
        self,
        folder: Path,
        instance: dg.DagsterInstance,
        storage: str,
        endpoint: str,
        url: str = "",
    ) -> None:
        bucket = Bucket("gs", storage, url) if url else bucket_at("gs", storage)
        super().__init__(folder, instance, bucket)
        self.endpoint = endpoint
        self.engine: dict[str, Any] = {}

    def run(self, *assets: dg.AssetsDefinition, **config: object) -> Outcome:
        """As `Catalogue.run`, on the service."""
        engine = DataflowEngine(
            **{
                "project": PROJECT,
                "region": REGION,
                "endpoint": self.endpoint,
                "temp_location": f"gs://{BUCKET}/dataflow",
                "experiments": ["disable_logging_submission_environment"],
                **self.engine,
            }
        )
        klio = KlioResource(store=self.bucket.url, store_options=self.options, engine=engine)
        given = {"tags": ENTITY_RUN, "entities": "all", **config}
        return Catalogue.run(self, *assets, resources={"klio": klio}, **given)  # pyright: ignore

    def claims(self) -> list[Claim]:
        return [state.claim for state in read_claims(self.store)]

    def launched(self) -> "AbstractContextManager[subprocess.Popen[bytes]]":
        """A run in a process of its own, whose job has finished something."""
        told = [str(self.folder.parent), self.bucket.endpoint, self.endpoint, self.bucket.url]
        return launched(__name__, told, lambda: any(self.store.list(RECEIPTS_PREFIX)))


def only_job(service: DataflowService) -> Job:
    (job,) = service.jobs
    return job


def main(folder: str, storage: str, endpoint: str, url: str) -> None:
    """A run in a process of its own, to be killed."""
    with home_in(Path(folder)) as instance:
        DataflowCatalogue(Path(folder), instance, storage, endpoint, url).run(recordings())


if __name__ == "__main__":
    main(*sys.argv[1:])
