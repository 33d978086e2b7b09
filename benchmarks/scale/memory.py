"""Peak memory of launcher and driver with 100,000 entities that compute nothing, in one run.

The budget: launcher below 400 MB, driver below 700 MB.
"""

from benchmarks.memory import COLUMNS, peaks
from benchmarks.report import report

ENTITIES = 100_000


def main() -> None:
    """One run; `benchmarks.memory` has the smaller ones."""
    report("memory_scale", [peaks(ENTITIES)], columns=COLUMNS)


if __name__ == "__main__":
    main()
