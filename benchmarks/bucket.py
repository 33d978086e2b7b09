"""10,000 entities that are up to date, on a bucket that answers in 20 ms and in a local folder.

The bucket is a server of ours (`tests/services/gcs.py`) behind a proxy that answers 20 ms later and
counts what it is asked. Filled without that delay. Then the names of a folder of 100,000 are listed
there, by another process, page after page and as a store does it.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from benchmarks.project import Project
from benchmarks.report import report
from klio_dagster.store.store import Store
from tests.services.buckets import Bucket
from tests.services.faults import FaultyProxy
from tests.services.gcs import BUCKET, GcsServer

ENTITIES = 10_000
NAMES = 100_000
ROUNDS = 5
ANSWERS_IN_S = 0.02

DEFINITIONS = """
import dagster as dg
from benchmarks.no_op_jobs import size_of
from klio_dagster import EntityAsset, Json, KlioResource, klio_assets

entities = dg.DynamicPartitionsDefinition(name="entities")

@klio_assets(
    partitions_def=entities,
    assets=[EntityAsset("size", size_of, source="in/{{entity}}.txt", output=Json())],
)
def sizes(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

defs = dg.Definitions(
    assets=[sizes],
    resources={{"klio": KlioResource(store={store!r}, store_options={options!r})}},
    executor=dg.in_process_executor,
)
"""


def main() -> None:
    """Fill both, then skip everything in turns."""
    with (
        tempfile.TemporaryDirectory() as folder,
        GcsServer() as server,
        FaultyProxy(server.url) as proxy,
    ):
        bucket = Bucket("gs", proxy.url, f"gs://{BUCKET}/music")
        remote = _project(Path(folder) / "remote", bucket.url, bucket.options)
        local = _project(Path(folder) / "local", "data", {})
        sources = Path(folder) / "local" / "data" / "in"
        sources.mkdir(parents=True)
        for number in range(ENTITIES):
            (sources / f"entity-{number}.txt").write_bytes(b"x")
            server.buckets.put(BUCKET, f"music/in/entity-{number}.txt", b"x", {}, {})
        colds = [_timed(project)[0] for project in (local, remote)]
        proxy.latency_s = ANSWERS_IN_S
        times: dict[str, list[float]] = {"local": [], "bucket": []}
        asked: list[int] = []
        for _ in range(ROUNDS):
            times["local"].append(_skipped(local))
            before = proxy.count()
            times["bucket"].append(_skipped(remote))
            asked.append(proxy.count() - before)
        for number in range(NAMES):
            server.buckets.put(BUCKET, f"music/many/track-{number:06}.flac", b"x", {}, {})
        listed = _listed(bucket, proxy)
    base = median(times["local"])
    rows = [
        ["local, cold", colds[0], colds[0], colds[0], 0, colds[0] / colds[0]],
        ["bucket, cold, answers at once", colds[1], colds[1], colds[1], 0, colds[1] / colds[0]],
        ["local, all skipped", base, min(times["local"]), max(times["local"]), 0, 1.0],
        [
            "bucket in 20 ms, all skipped",
            *(each(times["bucket"]) for each in _SHOWN),
            median(asked),
            median(times["bucket"]) / base,
        ],
        *listed,
    ]
    report("bucket", rows, columns=["10,000 entities, s", "median", "min", "max", "asked", "ratio"])


_SHOWN: tuple[Callable[[list[float]], float], ...] = (median, min, max)


def _listed(bucket: Bucket, proxy: FaultyProxy) -> list[list[object]]:
    """A row for each way to list the names."""
    rows: list[list[object]] = []
    base = 0.0
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        for name, ask in (("page after page", one_by_one), ("in several places at once", at_once)):
            before = proxy.count()
            took = [process.submit(ask, bucket.url, bucket.options).result() for _ in range(ROUNDS)]
            asked = (proxy.count() - before) // ROUNDS
            base = base or median(took)
            row = [f"{NAMES:,} names, {name}", *(each(took) for each in _SHOWN)]
            rows.append([*row, asked, median(took) / base])
    return rows


def one_by_one(url: str, options: Mapping[str, str]) -> float:
    """Seconds to list the names, a request after the other."""
    store = Store.open(url, options=options)
    return _seconds(lambda: sum(len(page) for page in store.pages("many")))


def at_once(url: str, options: Mapping[str, str]) -> float:
    """Seconds to list the names as a store does it."""
    store = Store.open(url, options=options)
    return _seconds(lambda: sum(1 for _ in store.list("many/")))


def _seconds(count: Callable[[], int]) -> float:
    started = time.perf_counter()
    if count() != NAMES:
        raise RuntimeError("names were lost")
    return time.perf_counter() - started


def _project(folder: Path, store: str, options: dict[str, str]) -> Project:
    project = Project(folder, DEFINITIONS.format(store=store, options=options))
    ids = "".join(f"entity-{n}\n" for n in range(ENTITIES))
    project.klio("entities", "add", "--from-file", "-", entities=ids)
    return project


def _timed(project: Project) -> tuple[float, int]:
    started = time.perf_counter()
    said = project.klio("run")
    return time.perf_counter() - started, said["assets"]["size"]["skipped"]


def _skipped(project: Project) -> float:
    took, skipped = _timed(project)
    if skipped != ENTITIES:
        raise RuntimeError(f"{skipped} were skipped")
    return took


if __name__ == "__main__":
    main()
