"""A catalogue of counted entities, and runs over it in processes of their own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from klio_dagster.codecs.hashing import data_version
from klio_dagster.core.fold import read_lines
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.partitions import register
from klio_dagster.ledger.ledger import ledger_of
from klio_dagster.store.layout import output_path
from klio_dagster.store.store import Store
from tests.flows.counted_jobs import LOG

ASSETS = ("first", "second", "third")
BAD = {("second", "e-13"), ("third", "e-13")}
START_UP_S = 60.0


class CountedCatalogue:
    """A store, a home and an execution log in a folder.

    Args:
        folder: of the test.
        entities: the catalogue.
    """

    def __init__(self, folder: Path, entities: Sequence[str]) -> None:
        self.store = Store.open(str(folder / "store"))
        self.entities = entities
        self.log = folder / "executions"
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.environment = {
            **os.environ,
            "DAGSTER_HOME": str(self.home),
            "KLIO_TEST_STORE": str(folder / "store"),
            LOG: str(self.log),
        }
        with self.instance() as instance:
            register(instance, "entities", entities)

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home))

    def start(self, **config: Any) -> "subprocess.Popen[bytes]":
        """Start a run worker; its config asks for all entities unless told otherwise."""
        with (self.home.parent / f"run-{time.monotonic_ns()}.txt").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.flows.run_all", json.dumps(config)],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def receipts(self) -> set[tuple[str, str]]:
        root = self.store.local_path("_klio/receipts")
        assert root is not None
        return {
            receipt.pair
            for part in root.glob("*/*.jsonl")
            for receipt in read_lines(part.read_bytes()).receipts
        }

    def recorded(self) -> set[tuple[str, str]]:
        """What the ledger holds, when the run that ended recorded its own receipts."""
        with self.instance() as instance:
            records = ledger_of(instance, describe=metadata_of).records(ASSETS, None)
        return {(asset, entity) for asset, known in records.items() for entity in known}

    def run_statuses(self) -> set[str]:
        with self.instance() as instance:
            return {run.status.value for run in instance.get_runs()}

    def summaries(self) -> list[Mapping[str, Any]]:
        """What each run that came to its end has counted."""
        root = self.store.local_path("_klio/runs")
        assert root is not None
        return [json.loads(path.read_bytes()) for path in sorted(root.glob("*/summary.json"))]

    def assert_ledger_tells_the_truth(self) -> None:
        """Every record's output is there with that hash, and nobody holds anything."""
        with self.instance() as instance:
            records = ledger_of(instance, describe=metadata_of).records(ASSETS, self.entities)
        for asset in ASSETS:
            for entity in self.entities:
                record = records[asset][entity]
                assert record.failed == ((asset, entity) in BAD)
                if not record.failed:
                    data = self.store.get(output_path(asset, entity, ".json"))
                    assert record.data_version == data_version(data)
        assert list(self.store.list("_klio/open/")) == []


def processes_below(run_worker: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(run_worker.pid).children(recursive=True)
