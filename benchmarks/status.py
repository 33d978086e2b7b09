"""`klio status` and `klio failures` over 100,000 entities x 3 assets, on Dagster's SQLite log.

The catalogue is made up: what the reference project records (five tags, nine metadata entries),
with every tenth entity failed. The budget is 3 s for `klio status`, from the shell to its end.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import dagster as dg

from benchmarks.project import Project
from benchmarks.report import report
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.partitions import register
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.ledger import BatchedLedger

ENTITIES = 100_000
ASSETS = ("recording", "mel", "features")
ROUNDS = 3
STARTED = 1_790_000_000.0
BATCH = 5_000

DEFINITIONS = """
import dagster as dg
from benchmarks.no_op_jobs import nothing, recording_and_mel, recording_of
from klio_dagster import EntityAsset, Json, KlioResource, klio_assets

entities = dg.DynamicPartitionsDefinition(name="entities")

@klio_assets(
    partitions_def=entities,
    assets=[
        EntityAsset("recording", nothing, output=Json(), code_version="1"),
        EntityAsset("mel", recording_of, deps=["recording"], output=Json(), code_version="1"),
        EntityAsset("features", recording_and_mel, deps=["recording", "mel"], output=Json(),
                    code_version="1"),
    ],
)
def catalogue(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

defs = dg.Definitions(assets=[catalogue], resources={"klio": KlioResource(store="data")})
"""


def main() -> None:
    """Fill a ledger once, then ask."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder) / "project", DEFINITIONS)
        fill(project)
        rows = [
            row("klio status", [asked(project, "status") for _ in range(ROUNDS)]),
            row("klio failures", [asked(project, "failures") for _ in range(ROUNDS)]),
        ]
    report("status", rows, columns=[f"{ENTITIES:,} entities x 3, s", "median", "min", "max"])


def fill(project: Project) -> None:
    """Register the entities and record three assets of each; one in ten fails at the last."""
    project.klio("entities", "add", "entity 0")
    codes = _code_versions(project)
    with dg.DagsterInstance.from_config(str(project.folder / ".klio")) as instance:
        register(instance, "entities", [f"entity {number}" for number in range(ENTITIES)])
        ledger = BatchedLedger(instance, metadata_of)
        run = RunIdentity(
            run_id="00000000-0000-0000-0000-000000000000", job_name="j", step_key="op"
        )
        for asset in ASSETS:
            for start in range(0, ENTITIES, BATCH):
                made = [
                    receipt(asset, number, codes[asset]) for number in range(start, start + BATCH)
                ]
                ledger.record(run, made)


def _code_versions(project: Project) -> dict[str, str]:
    """Those of the project's assets, as its definitions say."""
    code = (
        "import definitions, json\n"
        "from klio_dagster.defs.group import group_of\n"
        "print(json.dumps(dict(group_of(definitions.catalogue).code_versions)))"
    )
    path = os.pathsep.join([str(project.folder), str(Path(__file__).resolve().parent.parent)])
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    return json.loads(said.stdout)


def receipt(asset: str, number: int, code_version: str) -> Receipt:
    """A receipt as the reference project makes them; every tenth of the last asset failed."""
    before = ASSETS[: ASSETS.index(asset)]
    failed = asset == ASSETS[-1] and number % 10 == 0
    return Receipt(
        run="",
        entity=f"entity {number}",
        asset=asset,
        uri=f"/catalogue/{asset}/entity%20{number}.flac",
        size=123_456,
        data_version=f"{number:032x}",
        code_version=code_version,
        inputs=dict.fromkeys(before, f"{number:032x}"),
        codec={"name": "audio", "format": "flac", "bits": 16},
        metadata={"duration_s": 9.87654321, "sample_rate_hz": 22_050, "peak": 0.87654321},
        figures={"waveform": bytes(600)},
        started_at=STARTED,
        finished_at=round(STARTED + number / 1000, 6),
        cpu_s=0.0123,
        failure=Failure("ValueError", f"clip of {number} samples is too short") if failed else None,
    )


def asked(project: Project, command: str) -> float:
    """Seconds until a command has answered."""
    started = time.perf_counter()
    project.klio(command)
    return time.perf_counter() - started


def row(name: str, measured: list[float]) -> list[object]:
    """A line of the table."""
    return [name, median(measured), min(measured), max(measured)]


if __name__ == "__main__":
    main()
