"""The pipeline: manifest parts, spread, processed. Nothing flows out of it but receipts."""

from collections.abc import Iterator

import apache_beam as beam

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.beam.process import ProcessEntity
from klio_dagster.engine.opened import opened_store


def task_lines(part: str, store: str) -> Iterator[str]:
    """The tasks of a manifest part, a JSON line each.

    Raises:
        ObjectNotFoundError: the part is not there.
    """
    yield from opened_store(store).get(part).decode().splitlines()


def build(pipeline: beam.Pipeline, manifest: Manifest) -> None:
    """Add the steps that carry out a manifest. The same for every engine."""
    _ = (
        pipeline
        | "manifest parts" >> beam.Create(list(manifest.parts))
        | "tasks" >> beam.FlatMap(task_lines, manifest.store)
        # Parts are few and tasks many: without this a part would be one piece of work.
        | "spread" >> beam.Reshuffle()
        | "process entity" >> beam.ParDo(ProcessEntity(manifest.to_json()))
    )
