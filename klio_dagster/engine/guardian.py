"""A small process that ends workers and their children when the driver is killed.

A worker sees its driver's death too, but not while native code holds the interpreter's lock; and
what it started itself would live on. The shell below waits for the end of its input, which comes
however the driver ends, kills the process group of every worker it was told of, and removes the
files that worker kept.
"""

import os
import subprocess

from klio_dagster.engine.scratch import scratch_root

_SCRIPT = """
while read -r op p; do
    if [ "$op" = + ]; then g="$g $p"; continue; fi
    left=
    for q in $g; do [ "$q" = "$p" ] || left="$left $q"; done
    g="$left"
done
for p in $g; do kill -s KILL -- "-$p" 2>/dev/null; rm -rf -- "$0/worker-$p"; done
"""


class Guardian:
    """Kills process groups when this process ends. Close it when the workers are gone."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, str(scratch_root())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what ends the driver's group must not end it
        )

    def watch(self, group: int) -> None:
        """Kill this process group, too, in the end."""
        self._tell(f"+ {group}\n")

    def forget(self, group: int) -> None:
        """It is gone; its number may be another one's by the end."""
        self._tell(f"- {group}\n")

    def close(self) -> None:
        """Kill what is left and end. Safe to call again."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        os.write(self._process.stdin.fileno(), line.encode())
