"""A run that is killed at a line of its way (`python -m tests.kill.dies_at NAME COMMAND…`).

NAME is a function that `defs.execute` calls; the first call kills the process. The command is that
of `klio`, or none for the entity run of `tests.flows.run_all`.
"""

import os
import signal
import sys

from klio_dagster.cli.main import main
from klio_dagster.defs import execute
from tests.flows import run_all


def _die(*_arguments: object, **_options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _, name, *command = sys.argv
    assert hasattr(execute, name)
    setattr(execute, name, _die)
    sys.argv = ["run_all", "{}"]
    sys.exit(main(command) if command else run_all.main())
