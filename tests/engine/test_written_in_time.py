"""Whoever writes for a run is told how long it may: others may have its entities after that.

docs/adr/0021-a-write-is-seen-in-time-or-never.md; what a store makes of it: tests/store/test_timely
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.engine import running
from klio_dagster.engine.keeping import receipts_of
from klio_dagster.engine.process import WorkerProcess
from klio_dagster.store.claims import Claim
from klio_dagster.store.heartbeat import Confirmation
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.objects import TimeLeft
from klio_dagster.store.open_claim import WRITTEN_BY_S, open_claim
from klio_dagster.store.store import Store
from tests.engine import jobs
from tests.engine.driven import written

LONGEST_S = 60.0
NOTED = "KLIO_TESTS_TIME_LEFT"  # of `time_left`, which only a worker may import


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


def claimed(store: Store, kind: str = "local") -> tuple[Manifest, Claim]:
    """A manifest of a run that holds its entities, and beats no more."""
    claim = open_claim(store, "run", assets=["first"]).claim
    head = written(store, [EntityAsset("first", jobs.number, output=Json())], ["track-1"])
    manifest = replace(
        head,
        generation=claim.generation,
        install=["tests.engine.time_left"],
        engine={**head.engine, "kind": kind},
    )
    return manifest, claim


def computed_by_a_worker(manifest: Manifest) -> None:
    """A worker process computes the run's only task."""
    worker = WorkerProcess.spawn(lambda _: None)
    try:
        worker.begin("worker", manifest.to_json(), lambda _: None)
        worker.give([Task(entity="track-1", run=["first"])])
        end = time.monotonic() + LONGEST_S
        while not worker.has_finished_any:
            assert worker.read(time.monotonic()), worker.cause_of_death()
            assert time.monotonic() < end
    finally:
        worker.close()


@pytest.mark.parametrize("kind", ["local", "flink"])
def test_a_worker_tells_the_store_how_long_the_claim_it_writes_under_is_certain(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    noted = tmp_path / "noted"
    monkeypatch.setenv(NOTED, str(noted))
    manifest, _ = claimed(store, kind)

    computed_by_a_worker(manifest)

    told = dict(map(json.loads, noted.read_text().splitlines()))
    (path,) = told
    assert path.startswith("first/")
    assert told[path] is not None, "it is not limited at all"
    assert 0 < told[path] <= WRITTEN_BY_S


def test_a_worker_of_a_run_that_nobody_claims_has_all_the_time(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = tmp_path / "noted"
    monkeypatch.setenv(NOTED, str(noted))
    manifest, _ = claimed(store)

    computed_by_a_worker(replace(manifest, generation=""))

    assert [json.loads(line)[1] for line in noted.read_text().splitlines()] == [None]


@pytest.fixture
def looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread ends this process when the claim is gone with the test's folder."""

    def watch(confirmation: Confirmation, on_lost: Callable[[], None]) -> None:
        confirmation.look()

    monkeypatch.setattr(Confirmation, "watch", watch)


def test_a_supervisor_is_told_the_same(store: Store, looked_at_once: None) -> None:
    manifest, _ = claimed(store)

    left_s = running._confirming(manifest)()

    assert left_s is not None
    assert 0 < left_s <= WRITTEN_BY_S


class Noting(MemoryStore):
    """A bucket, as far as receipts see it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float | None] = []

    def put_within(self, path: str, data: bytes, left_s: TimeLeft) -> None:
        self.told.append(left_s())
        super().put_within(path, data, left_s)


def test_receipts_in_a_bucket_are_written_as_long_as_the_supervisor_may() -> None:
    store: Any = Noting()
    receipts = receipts_of(store, "run", lambda: 7.5)

    receipts.write(failed("track-1"))
    receipts.flush()
    receipts.close()

    assert store.told == [7.5]


def failed(entity: str) -> Receipt:
    return Receipt(
        run="run",
        entity=entity,
        asset="first",
        finished_at=1.0,
        failure=Failure("Error", "why"),
    )
