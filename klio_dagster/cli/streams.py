"""stdout and stderr, kept clear of what user code prints, also from C."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def printed_to_stderr() -> Iterator[None]:
    """What is printed meanwhile goes to stderr: stdout is for what was asked, and nothing else."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


@contextmanager
def own_streams(*, quietly: bool) -> Iterator[TextIO]:
    """The terminal as a stream of our own, while what else is printed goes elsewhere.

    User code may print anything at any time, also from C. It must neither destroy the bar nor get
    into the one object of `--json`.

    Args:
        quietly: to nowhere (Dagster's compute logs have it all the same); else to stderr.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    elsewhere = os.open(os.devnull, os.O_WRONLY) if quietly else os.dup(2)
    try:
        with os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace") as terminal:
            os.dup2(elsewhere, 1)
            os.dup2(elsewhere, 2)
            yield terminal
    finally:
        for descriptor, stream in enumerate((sys.stdout, sys.stderr), start=1):
            _empty(stream, descriptor)
        for descriptor, original in enumerate(saved, start=1):
            os.dup2(original, descriptor)
            os.close(original)
        os.close(elsewhere)


def _empty(stream: TextIO, descriptor: int) -> None:
    """Write out what a stream holds; where its disk is full, to nowhere, not to the terminal."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
        stream.flush()
