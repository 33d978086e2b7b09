"""Runs of entity assets whose jobs a Dataflow service executes, with a bucket for a store."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.defs.engines import DataflowEngine
from klio_dagster.defs.resource import KlioResource
from klio_dagster.ledger.internals.definitions import is_only_op  # noqa: F401 - loads the room
from klio_dagster.store.claim import Claim
from klio_dagster.store.claims import read_claims
from tests.buckets.bucket_catalogue import BucketCatalogue
from tests.dataflow import dataflow_jobs as jobs
from tests.flows.catalogue import ENTITY_RUN, Catalogue, Outcome, group
from tests.services.buckets import Bucket, bucket_at
from tests.services.dataflow import PROJECT, REGION, DataflowService
from tests.services.dataflow_job import Job
from tests.services.gcs import BUCKET

SLOW_S = 0.3


def recordings(name: str = "work") -> dg.AssetsDefinition:
    """recording -> length; a source that says `bad` fails, one that says `slow` takes its time."""
    return group(
        EntityAsset("recording", jobs.text, source="tracks/{entity}.txt", output=Json()),
        EntityAsset("length", jobs.length, deps=["recording"], output=Json()),
        name=name,
    )


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


def only_job(service: DataflowService) -> Job:
    (job,) = service.jobs
    return job


def main(folder: str, storage: str, endpoint: str, url: str) -> None:
    """A run in a process of its own, to be killed."""
    with dg.DagsterInstance.local_temp(str(Path(folder) / "home")) as instance:
        DataflowCatalogue(Path(folder), instance, storage, endpoint, url).run(recordings())


if __name__ == "__main__":
    main(*sys.argv[1:])
