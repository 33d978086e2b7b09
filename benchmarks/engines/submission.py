"""From a run's start to its first receipt on the double of Dataflow, and where that time goes.

What the real service adds (its queue, machines that start: minutes) it does not show. Five runs of
twenty small entities each; times are by the receipts, and by the service for the submission.
"""

import os
import tempfile
import time
from pathlib import Path
from statistics import median

import dagster as dg

from benchmarks.report import report
from klio_dagster.store.receipts import compacted
from tests.dataflow.dataflow_catalogue import DataflowCatalogue, only_job, recordings
from tests.services.buckets import bucket_at
from tests.services.dataflow import dataflow_service
from tests.services.gcs import GcsServer

ROUNDS = 5
ENTITIES = 20
COLUMNS = ["what", "median s", "min s", "max s"]


def main() -> None:
    """Measure and report."""
    taken = [measured() for _ in range(ROUNDS)]
    names = ("run's start to the job's creation", "that to the first receipt", "to the run's end")
    rows = [
        [name, *(round(of(values), 2) for of in (median, min, max))]
        for name, values in zip(names, zip(*taken, strict=True), strict=True)
    ]
    report("submission", rows, columns=COLUMNS)


def measured() -> tuple[float, float, float]:
    """The three times of one run."""
    with tempfile.TemporaryDirectory() as folder, GcsServer() as gcs:
        access = bucket_at("gs", gcs.url).store().access.to_text()
        told = {"KLIO_STORE_OPTIONS": access}
        with dataflow_service(gcs.url, environment=told) as service:
            os.environ.update(service.environment)
            home = Path(folder) / "home"
            home.mkdir()
            with dg.DagsterInstance.local_temp(str(home)) as instance:
                catalogue = DataflowCatalogue(Path(folder), instance, gcs.url, service.endpoint)
                catalogue.fill(ENTITIES)
                began = time.time()
                ran = catalogue.run(recordings())
                ended = time.time()
                assert ran.success, ran.error
                receipts = list(compacted(catalogue.store, ran.run_id))
            created = only_job(service).created
            first = min(each.finished_at for each in receipts)
            return created - began, first - created, ended - began


if __name__ == "__main__":
    main()
