"""docs/reference/cli.md out of the commands themselves: `python tools/cli_reference.py`."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from klio_dagster.cli.main import klio

_OF_ALL = ("as_json", "debug")  # every command has them: said once, at the top
PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
_HEAD = """\
# Command line

Made by `tools/cli_reference.py` from the commands; do not edit.

Every command works in the project of the working directory (see [environment](environment.md)) and
has `--help`, `--json` (one JSON object on stdout) and `--debug` (tracebacks). Exit codes: 0 done,
1 some entities failed or wait, 2 usage or configuration. The examples are those of the reference
project, with tracks called `track-1` and `track-2`.
"""


def commands(
    group: click.Group = klio, path: tuple[str, ...] = ("klio",)
) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups left out."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        elif command is not None:
            yield " ".join((*path, name)), command


def examples(command: click.Command) -> list[str]:
    """The examples a command's help ends with."""
    return re.findall(r"^ +(klio .+)$", command.epilog or "", re.MULTILINE)


def reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(name, command) for name, command in commands())])


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    pieces = " ".join(command.collect_usage_pieces(context))
    options = [each for each in command.params if isinstance(each, click.Option)]
    rows = [_row(option, context) for option in options if option.name not in _OF_ALL]
    table = ["| option | |", "|---|---|", *rows, ""] if rows else []
    shown = "\n".join(f"$ {line}" for line in examples(command))
    return "\n".join(
        [
            f"## {name}\n",
            f"`{name} {pieces}`\n",
            f"{_text(command.help)}\n",
            *table,
            f"```console\n{shown}\n```\n",
        ]
    )


def _row(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    value = ""
    if isinstance(option.type, click.Choice):
        value = " " + ", ".join(f"`{choice}`" for choice in option.type.choices)
    elif not option.is_flag:
        value = f" {option.make_metavar(context)}"
    often = " May be repeated." if option.multiple else ""
    return f"| {names}{value} | {_text(option.help)}{often} |"


def _text(said: str | None) -> str:
    """Paragraphs of one line each."""
    paragraphs = re.split(r"\n\s*\n", (said or "").strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
