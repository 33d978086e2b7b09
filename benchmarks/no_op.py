"""10,000 entities that compute nothing: cold, and again when all are up to date.

Scaled by a calibration loop on the same machine at the same time: 200 mel spectrograms of a 10 s
clip at 22 kHz took 2.0 s of CPU where Klio itself took 5.3 s for the same entities and recorded
nothing (reference: measured).
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.project import Project
from benchmarks.report import report

ENTITIES = 10_000
ROUNDS = 3
KLIO_S = 5.34
CALIBRATED_S = 2.0

DEFINITIONS = """
import dagster as dg
from benchmarks.no_op_jobs import nothing
from klio_dagster import EntityAsset, Json, KlioResource, klio_assets

entities = dg.DynamicPartitionsDefinition(name="entities")

@klio_assets(partitions_def=entities, assets=[EntityAsset("nothing", nothing, output=Json())])
def no_op(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

defs = dg.Definitions(
    assets=[no_op],
    resources={"klio": KlioResource(store="data")},
    executor=dg.in_process_executor,
)
"""


def main() -> None:
    """Run cold and again, and report beside the scaled baseline."""
    cold: list[float] = []
    again: list[float] = []
    baselines: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            baselines.append(KLIO_S * calibration_s() / CALIBRATED_S)
            # Each round leaves its files until the end: ext4 looks long for a place for a new one
            # where many were deleted in the last minutes (three times the workers' system time).
            project = Project(Path(folder) / f"project-{number}", DEFINITIONS)
            ids = "".join(f"entity-{n}\n" for n in range(ENTITIES))
            project.klio("entities", "add", "--from-file", "-", entities=ids)
            for times in (cold, again):
                started = time.perf_counter()
                said = project.klio("run")
                times.append(time.perf_counter() - started)
            assert said["assets"]["nothing"]["skipped"] == ENTITIES
    baseline = median(baselines)
    rows = [
        ["Klio, which records nothing (scaled)", baseline, min(baselines), max(baselines), 1.0],
        ["cold, all recorded", median(cold), min(cold), max(cold), median(cold) / baseline],
        ["again, all skipped", median(again), min(again), max(again), median(again) / baseline],
    ]
    report("no_op", rows, columns=["10,000 no-op entities, s", "median", "min", "max", "ratio"])


def calibration_s() -> float:
    """CPU seconds of 200 librosa mel spectrograms of a 10 s clip at 22.05 kHz."""
    import librosa

    clip = np.random.default_rng(1).normal(0, 0.1, 220_500).astype(np.float32)
    librosa.feature.melspectrogram(y=clip, sr=22050)
    started = time.process_time()
    for _ in range(200):
        librosa.feature.melspectrogram(y=clip, sr=22050)
    return time.process_time() - started


if __name__ == "__main__":
    main()
