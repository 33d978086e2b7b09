"""The `klio` command as a process of its own that need not load Dagster first.

It is forked from a process that has loaded everything and done nothing with it, so that 200
commands do not take 200 s of imports. That a fresh interpreter does the same is seen where a test
uses `Project.start`, and wherever README and docs are executed.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from klio_dagster.cli.main import COMMANDS, main

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [__name__, "klio_dagster.defs.decorator", *(module for module, _ in COMMANDS.values())]
)


def klio_process(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    streams: Sequence[Path],
    timeout_s: float = 120,
) -> int:
    """Run the command to its end, and give its exit code.

    Args:
        arguments: those of the command line.
        folder: where it is called.
        environment: all of its environment.
        streams: files for stdin, stdout and stderr.
        timeout_s: after which it is killed.
    """
    process = _FORKS.Process(target=_klio, args=(arguments, folder, environment, streams))
    process.start()
    process.join(timeout_s)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def _klio(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    streams: Sequence[Path],
) -> None:
    for descriptor, path in enumerate(streams):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(descriptor, mode, encoding="utf-8", closefd=False)
        for descriptor, mode in enumerate(("r", "w", "w"))
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.exit(main(arguments))
