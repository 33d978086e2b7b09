"""`make test-kill-messages`: a real daemon is killed at every point, a row after each, a table.

    python -m tests.kill.many_messages --kills 3 --point RUN_CREATED

What is done is kept in `.klio/kills-messages.jsonl`: started again, it goes on behind the last row.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.kill import points
from tests.kill.daemon_kills import killed_at
from tests.kill.stream import Stream
from tests.services.pubsub import NOT_THERE, PubSubEmulator, program

Row = Mapping[str, Any]

POINTS = (*points.TICK, *points.DAEMON, *points.RUN)
_ROWS = Path(__file__).parents[2] / ".klio" / "kills-messages.jsonl"
_COLUMNS = "{:<42} {:>4} {:>8} {:>9} {:>4} {:>9} {:>5} {:>11} {:>4} {:>7}  {}"
_HEADS = ("point", "kill", "messages", "in ledger", "dead", "passed on")
_HEADS += ("again", "unexplained", "lost", "seconds", "else")


def main() -> int:
    """Kill as often as asked at each point.

    Returns:
        0 if nothing was lost, computed again without a reason or left behind.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.kill.many_messages")
    parser.add_argument("--kills", type=int, default=3, help="at each point; default: %(default)s")
    parser.add_argument("--point", choices=POINTS, help="only this one")
    parser.add_argument("--messages", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--again", action="store_true", help="forget what was done before")
    options = parser.parse_args()
    command = program()
    if command is None:
        parser.error(NOT_THERE)
    _ROWS.parent.mkdir(exist_ok=True)
    if options.again:
        _ROWS.unlink(missing_ok=True)
    rows = [json.loads(row) for row in _ROWS.read_text().splitlines()] if _ROWS.exists() else []
    wanted = [options.point] if options.point else POINTS
    rows = [row for row in rows if row["point"] in wanted]
    _say(_HEADS)
    emulator = PubSubEmulator(command)
    try:
        emulator.start()
        for point in wanted:
            done = [row for row in rows if row["point"] == point]
            for row in done:
                _say(_cells(row))
            for number in range(len(done) + 1, options.kills + 1):
                row = _row(emulator, point, number, options.messages)
                rows.append(row)
                with _ROWS.open("a") as kept:
                    kept.write(json.dumps(row) + "\n")
                _say(_cells(row))
    finally:
        emulator.remove()
    sys.stdout.write(_table(rows, wanted))
    return int(any(_has_faults(row) for row in rows))


def _row(emulator: PubSubEmulator, point: str, number: int, messages: int) -> Row:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="klio-kill-") as folder:
        kill = killed_at(Stream(Path(folder), emulator), point, messages)
    return {"number": number, "seconds": round(time.monotonic() - started, 1), **asdict(kill)}


def _cells(row: Row) -> Iterable[object]:
    yield from (row["point"], row["number"], row["messages"], row["in_ledger"], row["dead"])
    yield from (row["passed_on"], row["again"], len(row["unexplained"]), len(row["lost"]))
    yield from (row["seconds"], "; ".join([*row["unexplained"], *row["lost"], *row["wrong"]]))


def _table(rows: Sequence[Row], wanted: Sequence[str]) -> str:
    """What all the kills at each point came to."""
    lines = ["", "| point | kills | messages | in ledger | dead | passed on |"]
    lines[-1] += " computed again, explained | unexplained | lost | other faults |"
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for point in (*wanted, "all"):
        of_it = [row for row in rows if point in {row["point"], "all"}]
        unexplained = sum(len(row["unexplained"]) for row in of_it)
        cells = [
            len(of_it),
            *(sum(row[name] for row in of_it) for name in ("messages", "in_ledger", "dead")),
            sum(row["passed_on"] for row in of_it),
            sum(row["again"] for row in of_it) - unexplained,
            unexplained,
            *(sum(len(row[name]) for row in of_it) for name in ("lost", "wrong")),
        ]
        lines.append(f"| {point} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _has_faults(row: Row) -> bool:
    return any(row[name] for name in ("unexplained", "lost", "wrong"))


def _say(cells: Iterable[object]) -> None:
    sys.stdout.write(_COLUMNS.format(*cells).rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
