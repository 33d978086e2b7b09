"""What a benchmark says: a table for people, and JSON with the machine it was measured on."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"
MEASURED_WITH = (
    "klio-dagster", "dagster", "apache-beam", "librosa", "numba", "numpy", "obstore", "soundfile",
)  # fmt: skip


def report(name: str, rows: Sequence[Sequence[object]], columns: Sequence[str]) -> Path:
    """Print a benchmark's table and write it to `benchmarks/results/<name>.json`.

    Args:
        name: the file of the benchmark, without its ending.
        rows: one sequence a line, as long as `columns`; units belong into the column's name.
        columns: the heads of the columns.

    Returns:
        The JSON file: name, columns, rows, machine, versions, measured_at.

    Raises:
        ValueError: a row is not as long as the columns.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"{name}: row {row!r} has {len(row)} cells for {len(columns)} columns")
    _print_table(name, rows, columns)
    content = {
        "name": name,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {package: version(package) for package in MEASURED_WITH},
        "columns": list(columns),
        "rows": [list(row) for row in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    return file


def machine() -> Mapping[str, object]:
    """What the figures depend on: processor, cores, memory, load in the last minutes, Python."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _print_table(name: str, rows: Sequence[Sequence[object]], columns: Sequence[str]) -> None:
    table = Table(title=name, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_shown, row))
    Console(width=None if sys.stdout.isatty() else 110).print(table)


def _shown(cell: object) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) and abs(cell) < 10_000 else str(cell)
