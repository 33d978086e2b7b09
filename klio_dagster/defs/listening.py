"""Who hears what of a run in this process: `klio run`, which sets these, or nobody."""

from collections.abc import Callable
from contextvars import ContextVar

from klio_dagster.engine.progress import Progress


def _nobody(*_told: object) -> None:
    """Nobody listens."""


watch_progress: ContextVar[Callable[[Progress], None]] = ContextVar("watch", default=_nobody)
"""Told of its progress."""

tell: ContextVar[Callable[[str], None]] = ContextVar("tell", default=_nobody)
"""Told in a line what it waits for."""

when_interrupted: ContextVar[Callable[[], None]] = ContextVar("interrupted", default=_nobody)
"""Called when it is interrupted, with its work recorded."""


def print_output(line: str) -> None:
    """What a driver or user code printed, into Dagster's compute logs."""
    print(line, flush=True)  # noqa: T201 - that is how it gets there
