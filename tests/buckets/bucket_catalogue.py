"""Runs of entity assets in this process, with a bucket for a store."""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from klio_dagster.defs.engines import LocalEngine
from klio_dagster.defs.resource import KlioResource
from klio_dagster.store.layout import summary_path
from tests.flows.catalogue import ENTITY_RUN, Catalogue, Outcome
from tests.services.buckets import Bucket


class BucketCatalogue(Catalogue):
    """A store in a bucket, and an instance in a folder.

    Args:
        folder: of the test.
        instance: Dagster's.
        bucket: where the outputs go.
        options: of the store, beside those that open it.
    """

    def __init__(
        self,
        folder: Path,
        instance: dg.DagsterInstance,
        bucket: Bucket,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, instance)
        self.bucket = bucket
        self.options = {**bucket.options, **(options or {})}
        self.source_options: dict[str, dict[str, str]] = {}
        self.store = bucket.store(**(options or {}))

    def put(self, path: str, data: bytes) -> None:
        self.store.put(path, data)

    def summary(self, run_id: str) -> bytes | None:
        return self.store.get_or_none(summary_path(run_id))

    def fill(self, entities: int) -> list[str]:
        """So many, registered, each with a text for a source."""
        names = [f"track-{number:04}" for number in range(entities)]
        for name in names:
            self.put(f"tracks/{name}.txt", f"{name}'s text".encode())
        self.register(*names)
        return names

    @property
    def klio(self) -> KlioResource:
        """What opens the bucket in a run or a sensor."""
        return KlioResource(
            store=self.bucket.url,
            store_options=self.options,
            source_options=self.source_options,
            engine=LocalEngine(workers=2),
        )

    def run(self, *assets: dg.AssetsDefinition, **config: object) -> Outcome:
        """As `Catalogue.run`, on the bucket."""
        given = {"tags": ENTITY_RUN, "entities": "all", **config}
        return super().run(*assets, resources={"klio": self.klio}, **given)  # pyright: ignore
