"""Runs the benchmarks one after another: `make bench`, or `make bench ARGS="no_op memory"`.

Those of `scale/`, `streaming/` and `engines/` are run by `make bench-scale` and so on.
"""

import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BELOW = ("--scale", "--streaming", "--engines")


def benchmarks(folder: Path) -> list[str]:
    """The scripts of a folder that can be run by themselves, in alphabetical order."""
    return sorted(
        path.stem
        for path in folder.glob("*.py")
        if path.name != Path(__file__).name
        and '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    )


def main(asked: list[str]) -> int:
    """Run those that are asked for, or all; a process each, so that none warms another.

    Returns:
        The exit code: 0, 1 if a benchmark failed, 2 if one is not known.
    """
    below = asked[0].removeprefix("--") if asked and asked[0] in BELOW else ""
    asked = asked[bool(below) :]
    package = f"benchmarks.{below}" if below else "benchmarks"
    known = benchmarks(FOLDER / below)
    unknown = sorted(set(asked) - set(known))
    if unknown:
        print(f"bench: no benchmark '{unknown[0]}'; there are {', '.join(known)}", file=sys.stderr)
        return 2
    failed: list[str] = []
    for name in asked or known:
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", f"{package}.{name}"], cwd=FOLDER.parent, check=False
        )
        print(f"{name}: {time.perf_counter() - started:.0f} s\n", flush=True)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
