"""What commands have in common: their options, `--json`, and tables for people."""

import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

Command = Callable[..., Any]

_SELECT = "Only these assets, in Dagster's selection syntax: mel, mel+, group:audio."


def common(function: Command) -> Command:
    """`--json` and `--debug`, which every command has; the function gets `as_json`."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def command(*args: object, debug: bool, **options: object) -> object:
        meta = click.get_current_context().meta
        meta["debug"] = debug or meta.get("debug", False)
        return function(*args, **options)

    # click shows the docstring as the command's help: what the function raises is for its readers.
    command.__doc__ = inspect.cleandoc(function.__doc__ or "").partition("\nRaises:")[0]
    return command


def is_debug() -> bool:
    """Whether `--debug` was given, before or after the command's name."""
    return bool(click.get_current_context().meta.get("debug"))


select_option = click.option("--select", metavar="SELECTION", help=_SELECT)


apply_option = click.option(
    "--apply", is_flag=True, help="Do it. Without: only say what it would do."
)


def example(*lines: str) -> str:
    """The epilog of a command: its examples, a line each."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def print_json(value: object) -> None:
    """The one object of `--json`, in ASCII: an id from the command line may be no Unicode."""
    click.echo(json.dumps(value))


def table(rows: Iterable[Sequence[object]], columns: Sequence[str]) -> str:
    """A table of text: the first column to the left, numbers to the right.

    Args:
        rows: cells; numbers are given separators.
        columns: headings.
    """
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    numeric = [all(isinstance(cell, int) for cell in column) for column in zip(*rows, strict=True)]
    numeric = numeric or [False] * len(columns)

    def line(values: Sequence[str]) -> str:
        return "  ".join(
            value.rjust(width) if to_right else value.ljust(width)
            for value, width, to_right in zip(values, widths, numeric, strict=True)
        ).rstrip()

    return "\n".join([click.style(line(columns), bold=True), *(line(row) for row in cells)])


def warn(message: str) -> None:
    """A line on stderr."""
    sys.stderr.write(message + "\n")
