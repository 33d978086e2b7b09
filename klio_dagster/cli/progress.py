"""How far a run is, while it goes on: a live bar for a person at a terminal, else lines."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

_SAID_EVERY_S = 5.0


class Progress(Protocol):
    """How far something is, in words as `str` of it."""

    done: int
    failed: int
    total: int


Watch = Callable[[Progress], None]


@contextmanager
def progress_shown(
    stream: TextIO | None, title: str, *, first: str = "planning"
) -> Iterator[Watch]:
    """A function that shows the progress it is told.

    Args:
        stream: where to, a terminal or not; None shows nothing.
        title: what is run.
        first: what is said until there is progress.
    """
    if stream is None:
        yield _nothing
    elif stream.isatty():
        with _bar(stream, title, first) as watch:
            yield watch
    else:
        yield _lines(stream, title)


def _nothing(_progress: Progress) -> None:
    """Nobody watches."""


def _lines(stream: TextIO, title: str) -> Watch:
    said_at = time.monotonic()

    def watch(progress: Progress) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _SAID_EVERY_S:
            said_at = time.monotonic()
            stream.write(f"{title}: {progress}\n")
            stream.flush()

    return watch


@contextmanager
def _bar(stream: TextIO, title: str, first: str) -> Iterator[Watch]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    console = Console(file=stream, force_terminal=True)
    with Bar(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=None, said=first)

        def watch(progress: Progress) -> None:
            finished = progress.done + progress.failed
            bar.update(task, total=progress.total, completed=finished, said=str(progress))

        yield watch
