"""Importing the code location, beside importing Dagster alone; and what it must not load."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.report import report

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 7
HEAVY = ("librosa", "apache_beam", "matplotlib", "numba", "scipy", "soundfile", "pandera")


def main() -> None:
    """Time both imports alternately."""
    times: dict[str, list[float]] = {"dagster": [], "asset_defs.definitions": []}
    for _ in range(ROUNDS):
        for module, measured in times.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, check=True)
            measured.append(time.perf_counter() - started)
    code = (
        "import sys, asset_defs.definitions;"
        f"print(len(sys.modules), [m for m in {HEAVY!r} if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    modules, heavy = loaded.stdout.strip().split(" ", 1)
    baseline = median(times["dagster"])
    rows: list[list[object]] = [
        [f"import {module}", median(s), min(s), max(s), median(s) / baseline]
        for module, s in times.items()
    ]
    rows.append([f"{modules} modules, heavy ones: {heavy}", "", "", "", ""])
    report("import_time", rows, columns=["s, whole process", "median", "min", "max", "ratio"])


if __name__ == "__main__":
    main()
