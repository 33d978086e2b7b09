"""`make demo`: the reference project on real recordings, twice, and what came of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo.prepare import BROKEN, prepare  # noqa: E402 - the project's folder comes first

STORE = ROOT / ".klio" / "store"
KLIO = Path(sys.executable).with_name("klio")


def main() -> int:
    """Run the demo.

    Returns:
        0 iff exactly the broken files failed and the second pass computed nothing.
    """
    exists = (STORE / "recording").is_dir()
    if exists:
        say("The catalogue exists already: everything that is done is skipped.")
        say("`make clean` removes it, then `make demo` starts from nothing.")
    else:
        say(f"Preparing recordings in {STORE.relative_to(ROOT)}/tracks: real ones and broken ones")
        prepare(STORE)
        say("\nRegistering them: one partition an entity")
        klio("entities", "sync")
        say("\nFirst pass: computing recording, mel and features of every entity")
        klio("run")

    say("\nSecond pass: the same again" if not exists else "\nOne pass over it")
    second = asked("run")
    failed = {failure["entity"] for failure in asked("failures")["failures"]}
    for name, counts in second["assets"].items():
        say(
            f"  {name:12} {counts['skipped']:3} skipped, {counts['materialized']} computed,"
            f" {counts['failed']} failed (tried again)"
        )
    say(f"  {second['seconds']:.2f} s in the run")

    computed = sum(counts["materialized"] for counts in second["assets"].values())
    as_expected = failed == set(BROKEN) and computed == 0
    if not as_expected:
        say(f"\nNot as expected: failed {sorted(failed)}, computed again {computed}")
    say("\nThe same catalogue in Dagster's UI: make dev, then http://127.0.0.1:3000")
    say("On the command line: .venv/bin/klio status, klio explain loop_breakbeat, klio failures")
    return 0 if as_expected else 1


def klio(*arguments: str) -> None:
    """Run a klio command before the reader's eyes; failed entities are part of the demo.

    Raises:
        SystemExit: the command could not be carried out.
    """
    done = subprocess.run([KLIO, *arguments], cwd=ROOT, check=False)
    if done.returncode > 1:
        raise SystemExit(done.returncode)


def asked(*arguments: str) -> Any:
    """What a klio command says with --json.

    Raises:
        SystemExit: the command could not be carried out.
    """
    done = subprocess.run(
        [KLIO, *arguments, "--json"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode > 1:
        sys.stderr.write(done.stderr)
        raise SystemExit(done.returncode)
    return json.loads(done.stdout)


def say(text: str) -> None:
    """A line for the reader."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
