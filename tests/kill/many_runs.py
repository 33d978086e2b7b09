"""`make test-kill-runs`: many random kills, a row after each, a table at the end.

    python -m tests.kill.many_runs --kills 100 --seed 1 --entities 300

What is done is kept in `.klio/kills-<seed>.jsonl`: started again, it goes on behind the last row.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.kill.kills import OF_A_RUN, SERVED, killed_once

Row = Mapping[str, Any]

_ROWS = Path(__file__).parents[2] / ".klio"
# A web server and a daemon take ten times as long to start as the run that is killed.
_WEIGHTS = {**dict.fromkeys(OF_A_RUN, 5), **dict.fromkeys(SERVED, 2)}
_COLUMNS = "{:>4}  {:<14} {:<32} {:>6} {:>6} {:>11} {:>5} {:>8}  {}"
_HEADS = ("kill", "victim", "moment", "killed", "again", "unexplained", "torn", "mismatch", "else")


def main() -> int:
    """Kill as often as asked.

    Returns:
        0 if nothing was lost and nothing left behind.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.kill.many_runs")
    parser.add_argument("--kills", type=int, default=100, help="how many; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the moments; default: %(default)s")
    parser.add_argument("--entities", type=int, default=300, help="default: %(default)s")
    options = parser.parse_args()
    file = _ROWS / f"kills-{options.seed}.jsonl"
    file.parent.mkdir(exist_ok=True)
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    _say(_HEADS)
    for row in done[: options.kills]:
        _say(_cells(row))
    for number in range(len(done) + 1, options.kills + 1):
        row = _row(number, options.seed, options.entities)
        done.append(row)
        with file.open("a") as kept:
            kept.write(json.dumps(row) + "\n")
        _say(_cells(row))
    sys.stdout.write(_table(done[: options.kills]))
    return int(any(_has_faults(row) for row in done[: options.kills]))


def _row(number: int, seed: int, entities: int) -> Row:
    chance = random.Random(f"{seed}/{number}")
    victim = chance.choices([*_WEIGHTS], [*_WEIGHTS.values()])[0]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="klio-kill-") as folder:
        kill = killed_once(Path(folder), entities, victim, chance)
    return {"number": number, "seconds": round(time.monotonic() - started, 1), **asdict(kill)}


def _cells(row: Row) -> Iterable[object]:
    faults = "; ".join(row["wrong"])
    numbers = (row["killed"], row["again"], len(row["unexplained"]), len(row["torn"]))
    return row["number"], row["victim"], row["moment"], *numbers, len(row["mismatches"]), faults


def _table(rows: list[Row]) -> str:
    """What all the kills of each victim came to."""
    lines = ["", "| victim | runs killed | ended before | done again, explained | unexplained |"]
    lines[-1] += " torn | hash mismatches | other faults |"
    lines.append("|---|---|---|---|---|---|---|---|")
    for victim in (*_WEIGHTS, "all"):
        of_it = [row for row in rows if victim in {row["victim"], "all"}]
        unexplained = sum(len(row["unexplained"]) for row in of_it)
        cells = [
            sum(row["killed"] > 0 for row in of_it),
            sum(row["killed"] == 0 for row in of_it),
            sum(row["again"] for row in of_it) - unexplained,
            unexplained,
            *(sum(len(row[name]) for row in of_it) for name in ("torn", "mismatches", "wrong")),
        ]
        lines.append(f"| {victim} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _has_faults(row: Row) -> bool:
    return any(row[name] for name in ("unexplained", "torn", "mismatches", "wrong"))


def _say(cells: Iterable[object]) -> None:
    sys.stdout.write(_COLUMNS.format(*cells).rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
