"""`make demo-streaming`: messages ask for the demo's tracks, and what came of them.

Starts Google's Pub/Sub emulator, and `klio dev` on a catalogue of its own in `.klio/streaming/`;
stops both, however it ends.
"""

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402 - the project's folder comes first
from rich.live import Live  # noqa: E402

from demo.prepare import BROKEN, prepare  # noqa: E402
from tests.services.pubsub import NOT_THERE, PubSubEmulator, program  # noqa: E402
from tools.streaming_stage import Stage  # noqa: E402
from tools.streaming_watch import Pass, Watch, table  # noqa: E402

FOLDER = ROOT / ".klio" / "streaming"
POISON = "not a message of Klio's"
_PATIENCE_S = 120.0
_INTERRUPTED = 130


def main(folder: Path = FOLDER) -> int:
    """Run the demo.

    Args:
        folder: where the catalogue is made anew.

    Returns:
        0 iff everything came as it must; 1 if not; 2 without the emulator; 130 when interrupted.
    """
    command = program()
    if command is None:
        print(f"make demo-streaming: {NOT_THERE}", file=sys.stderr)
        return 2
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    try:
        with ExitStack() as started:
            return shown(folder, PubSubEmulator(command), started)
    except KeyboardInterrupt:
        say("\nInterrupted; all that was started is stopped.")
        return _INTERRUPTED


def shown(folder: Path, emulator: PubSubEmulator, started: ExitStack) -> int:
    """The demo itself; what it starts is left to `started`."""
    say(f"Preparing a catalogue in {shortened(folder)}: 21 recordings, two of them broken")
    shutil.rmtree(folder, ignore_errors=True)
    stage = Stage(ROOT, folder, emulator)
    tracks = prepare(stage.store_folder)
    say("Starting the Pub/Sub emulator, and Dagster with its daemon")
    started.callback(stage.stop)
    stage.start()
    say(f"Dagster's UI, as long as this runs: {stage.address}/sensors\n")

    watch = Watch(stage)
    passes = [Pass("once", asked=tracks, poison=1), Pass("again", asked=tracks, poison=0)]
    say("klio message publish: a message for each track, and one that nobody can read")
    watch.begin(passes[0])
    stage.publish(tracks)
    stage.publish([POISON], "--non-klio")
    follow(watch, passes[0], passes[:1])
    say("klio message publish: the tracks once more")
    watch.begin(passes[1])
    stage.publish(tracks)
    follow(watch, passes[1], passes)

    say("klio dead-letter list")
    stage.klio("dead-letter", "list")
    wrong = [*complaints(passes), *watch.left_behind()]
    for each in wrong:
        say(f"Not as expected: {each}")
    if not wrong:
        say("\nAs expected: nothing lost, nothing computed twice.")
        klio = os.path.relpath(Path(sys.executable).with_name("klio"), folder)
        say(f"The catalogue stays: cd {shortened(folder)}, then {klio} status or {klio} failures.")
    return int(bool(wrong))


def follow(watch: Watch, now: Pass, passes: Sequence[Pass]) -> None:
    """Show a table until all that was published is accounted for."""
    say("")
    with Live(table(passes), console=Console(), refresh_per_second=4) as live:
        watch.follow(now, lambda: live.update(table(passes)), _PATIENCE_S)
    say("")


def complaints(passes: Sequence[Pass]) -> list[str]:
    """What differs from what must come of the messages."""
    first, second = passes
    good = set(first.asked) - BROKEN
    found_and_expected = {
        "tracks materialised": (first.materialised, good),
        "tracks failed": (first.failed, BROKEN),
        "tracks passed on": (first.passed_on.keys(), good),
        "dead letters": (first.dead, ["undecodable"]),
        "tracks materialised again": (second.materialised, []),
        "tracks failed again": (second.failed, BROKEN),
        "tracks passed on again": (second.passed_on.keys(), good),
        "dead letters again": (second.dead, []),
    }
    return [
        f"{what}: {sorted(found)} instead of {sorted(expected)}"
        for what, (found, expected) in found_and_expected.items()
        if sorted(found) != sorted(expected)
    ]


def shortened(folder: Path) -> Path:
    """A folder of this project as one would type it."""
    return folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder


def say(text: str) -> None:
    """A line for the reader."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
