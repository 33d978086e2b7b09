"""Dagster's daemon, which dies at the step of its tick that its folder is armed with.

    python -m tests.kill.daemon

It ticks every second: Dagster's own looks every five.
"""

import os
import sys
from pathlib import Path

from dagster._daemon import sensor
from dagster._daemon.cli import cli

from tests.kill import points


def _main() -> None:
    folder = Path(os.environ[points.FOLDER])

    def look(_flags: object, step: str) -> None:
        if points.armed_with(folder) == step:
            points.die(folder)

    # Dagster calls it at each step with what `execute_sensor_iteration(debug_crash_flags=)` is
    # given, which nobody can give to a daemon.
    sensor.check_for_debug_crash = look
    sensor.MIN_INTERVAL_LOOP_TIME = 1
    sys.argv = ["dagster-daemon", "run", "--workspace", str(folder / "workspace.yaml")]
    cli(obj={})


if __name__ == "__main__":
    _main()
