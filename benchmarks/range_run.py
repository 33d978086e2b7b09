"""A run over a range of 1,000 partitions and 3 assets, launched as the UI does: until its op runs.

Before a run is queued, Dagster writes a planned event for every partition of every asset.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.project import ROOT, Project
from benchmarks.report import report

ENTITIES = 1_000
ROUNDS = 3
LONGEST_S = 600.0
OURS_BEGIN, OURS_END = "# Dagster's own files", "# Gives up on runs"

DEFINITIONS = """
import dagster as dg
from benchmarks.no_op_jobs import nothing, passed_on
from klio_dagster import EntityAsset, Json, KlioResource, klio_assets

entities = dg.DynamicPartitionsDefinition(name="entities")

@klio_assets(
    partitions_def=entities,
    assets=[
        EntityAsset("first", nothing, output=Json()),
        EntityAsset("second", passed_on, deps=["first"], params={"value": 2}, output=Json()),
        EntityAsset("third", passed_on, deps=["first"], params={"value": 3}, output=Json()),
    ],
)
def no_op(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

defs = dg.Definitions(
    assets=[no_op],
    resources={"klio": KlioResource(store="data")},
    executor=dg.in_process_executor,
)
"""

LAUNCH = """mutation ($run: ExecutionParams!) { launchPipelineExecution(executionParams: $run) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STEPS = """query ($id: ID!) { runOrError(runId: $id) { ... on Run {
  status stepStats { startTime } } } }"""


def main() -> None:
    """Launch the run on Dagster's storage and on ours, alternating, and report."""
    stock: list[float] = []
    ours: list[float] = []
    for _ in range(ROUNDS):
        stock.append(until_the_op_starts(is_stock=True))
        ours.append(until_the_op_starts(is_stock=False))
    rows = [
        ["Dagster's SQLite storage, no batches", median(stock), min(stock), max(stock)],
        ["klio's home", median(ours), min(ours), max(ours)],
    ]
    columns = [f"launch to start of the op, {ENTITIES} x 3, s", "median", "min", "max"]
    report("range_run", rows, columns=columns)


def until_the_op_starts(*, is_stock: bool) -> float:
    """Seconds from the mutation to the op's start, in a new project."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder) / "project", DEFINITIONS)
        names = [f"entity-{number:04}" for number in range(ENTITIES)]
        project.klio("entities", "add", "--from-file", "-", entities="\n".join(names))
        if is_stock:
            make_stock(project.folder / ".klio" / "dagster.yaml")
        with served(project.folder, {"DAGSTER_EVENT_BATCH_SIZE": "0"} if is_stock else {}) as url:
            ask(url, "{ version }", {})
            launched = time.time()
            run_id = launch(url, names[0], names[-1])
            return started_at(url, run_id) - launched


def make_stock(settings: Path) -> None:
    """Leave Dagster's own storage to it."""
    before, _, rest = settings.read_text().partition(OURS_BEGIN)
    settings.write_text(before + OURS_END + rest.partition(OURS_END)[2])


def launch(url: str, first: str, last: str) -> str:
    """What the UI sends for "launch as a single run"; the run's id.

    Raises:
        RuntimeError: the run was refused.
    """
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    selector = {
        "repositoryLocationName": "definitions",
        "repositoryName": "__repository__",
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": [name]} for name in ("first", "second", "third")],
        "assetCheckSelection": [],
    }
    run = {
        "mode": "default",
        "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
        "runConfigData": "{}",
        "selector": selector,
    }
    said = ask(url, LAUNCH, {"run": run})["launchPipelineExecution"]
    if said["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(str(said))
    return said["run"]["runId"]


def started_at(url: str, run_id: str) -> float:
    """When the op of a run started, in seconds since the epoch.

    Raises:
        RuntimeError: it did not.
    """
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        run = ask(url, STEPS, {"id": run_id})["runOrError"]
        for step in run["stepStats"]:
            if step["startTime"]:
                return float(step["startTime"])
        if run["status"] == "FAILURE":
            raise RuntimeError("the run failed before its op")
        time.sleep(0.5)
    raise RuntimeError("the op did not start")


@contextmanager
def served(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """`klio dev` on a project, for as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join([str(folder), str(ROOT)])
    klio = Path(sys.executable).with_name("klio")
    with (folder / "dev.log").open("wb") as log:
        server = subprocess.Popen(
            [klio, "dev", "--port", str(port), "--json"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, **environment},
            stdout=subprocess.PIPE,
            stderr=log,
        )
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["address"]
        finally:
            server.terminate()
            server.wait()


def ask(url: str, query: str, variables: Mapping[str, object]) -> Any:
    """What the pages ask the server."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}/graphql", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=LONGEST_S) as response:  # noqa: S310
        answer = json.load(response)
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


if __name__ == "__main__":
    main()
