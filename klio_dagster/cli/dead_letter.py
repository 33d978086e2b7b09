"""`klio dead-letter`: messages nobody tries again by himself, seen, sent back or dropped."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest
from typing import Any

import click

from klio_dagster.cli.chosen_letters import Choice, Found, check_chosen, choosing, named
from klio_dagster.cli.letters import described, print_heads, row, to_json
from klio_dagster.cli.output import common, example, print_json, table, warn
from klio_dagster.cli.project import Project, open_project
from klio_dagster.core.ids import printable
from klio_dagster.core.wording import counted, did_you_mean
from klio_dagster.errors import ConfigError, KlioError, MessageError
from klio_dagster.store.dead_letter import DeadLetter
from klio_dagster.streaming.dead_letter import Unreadable, kept, on_their_way, own_sensor, send_back
from klio_dagster.streaming.finding import begins
from klio_dagster.streaming.settings import message_sensors

_SHOWN = 50
_MOST_PROBLEMS = 10
_COLUMNS = ("id", "given up", "reason", "entity", "attempts", "error")


@click.group(
    "dead-letter",
    epilog=example("klio dead-letter list", "klio dead-letter replay --reason failed"),
)
def dead_letter() -> None:
    """Messages nobody tries again by himself: list, show, replay, drop."""


@dead_letter.command(
    "list",
    epilog=example("klio dead-letter list", "klio dead-letter list --reason undecodable --json"),
)
@choosing
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Only the N newest. Default: {_SHOWN}, and all with --json.",
)
@common
def list_(choice: Choice, limit: int | None, as_json: bool) -> int:
    """List the messages that were given up, and why; the newest first.

    Exit code 1 when something among them cannot be read.
    """
    reasons: Counter[str] = Counter()
    wrong: list[Unreadable] = []

    def heads(project: Project) -> Iterator[dict[str, Any]]:
        for _, found in choice.among(project.stores):
            match found:
                case DeadLetter():
                    reasons[found.reason] += 1
                    yield found.head()
                case Unreadable():
                    wrong.append(found)

    with open_project(None) as project:
        choice.check_group(project)
        if as_json and limit is None:
            print_heads(heads(project), wrong)
            return int(bool(wrong))
        newest = nlargest(limit or _SHOWN, heads(project), key=lambda head: head["at"])
        is_narrow = choice != Choice(group=None, reason=None, entity=None)
        among = is_narrow and not reasons
        others = sum(len(kept(store)) for store in project.stores) if among else 0
    if as_json:
        print_heads(newest, wrong)
        return int(bool(wrong))
    if newest:
        click.echo(table([row(head) for head in newest], _COLUMNS) + "\n")
    most_first = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    said = ", ".join(f"{printable(reason)} {number:,}" for reason, number in most_first)
    if said:
        click.echo(f"{counted(reasons.total(), 'dead letter')}: {said}")
    elif not wrong:
        none_such = f"no such dead letters among {counted(others, 'dead letter')}"
        click.echo(none_such if others else "no dead letters")
    if len(newest) < reasons.total():
        click.echo(f"shown are the {len(newest):,} newest; --limit N shows more")
    _warn_of([each.error for each in wrong])
    return int(bool(wrong))


@dead_letter.command(
    epilog=example("klio dead-letter show 79a4", "klio dead-letter show 79a4 --json")
)
@click.argument("id")
@choosing
@click.option("--raw", is_flag=True, help="Nothing but the bytes of the message, as they came.")
@common
def show(id: str, choice: Choice, raw: bool, as_json: bool) -> None:  # noqa: A002 - the argument's name
    """Show one message with everything that is known of it; the beginning of its ID is enough.

    Raises:
        UsageError: --raw is given with --json.
        MessageError: what lies there cannot be read.
    """
    if raw and as_json:
        raise click.UsageError("--raw and --json are two things; choose one")
    with open_project(None) as project:
        for _, found in named(project, [id], choice):
            match found:
                case Unreadable(error=error):
                    raise error
                case DeadLetter() if raw:
                    click.echo(found.letter.data, nl=False)
                case DeadLetter() if as_json:
                    print_json(to_json(found))
                case DeadLetter():
                    click.echo(described(found, now=time.time()))


@dead_letter.command(
    epilog=example(
        "klio dead-letter replay af0b",
        "klio dead-letter replay --reason failed --json",
    )
)
@click.argument("ids", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All of them, or all of --group.")
@choosing
@click.option("--sensor", metavar="NAME", help="Another sensor than the one they came through.")
@common
def replay(
    ids: tuple[str, ...], is_all: bool, choice: Choice, sensor: str | None, as_json: bool
) -> int:
    """Send messages back to their sensor, whose next tick takes them in like new ones.

    What is up to date by then is skipped. Exit code 1 when some cannot be sent back; they stay.
    """
    check_chosen(ids, choice, is_all=is_all)
    with open_project(None) as project:
        choice.check_group(project)
        left = [each for each in ids if not _is_coming(project, each)]
        found = named(project, left, choice) if ids else choice.among(project.stores)
        sent, failed = _sent_back(found, _sensor_of(project, sensor))
    if as_json:
        already = len(ids) - len(left)
        print_json({"sent": dict(sent), "already_sent": already, "failed": _said(failed)})
        return int(bool(failed))
    for name, number in sent.items():
        click.echo(f"{number:,} sent back: the next tick of {name} takes them in")
    if len(left) < len(ids):
        click.echo(f"{len(ids) - len(left):,} on their way already")
    if not (sent or failed or ids):
        click.echo("no dead letters")
    _warn_of(list(failed.values()))
    return int(bool(failed))


@dead_letter.command(
    epilog=example("klio dead-letter drop 633a", "klio dead-letter drop --reason invalid_id --yes")
)
@click.argument("ids", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All of them, or all of --group.")
@choosing
@click.option("--yes", is_flag=True, help="Do not ask, where they are not named by their ids.")
@common
def drop(ids: tuple[str, ...], is_all: bool, choice: Choice, yes: bool, as_json: bool) -> None:
    """Remove messages for good. Nothing keeps a copy.

    What cannot be read goes only when it is named. Where they are not named the command asks, and
    refuses where nobody can answer; --yes is the answer.

    Raises:
        ConfigError: nobody can be asked.
    """
    check_chosen(ids, choice, is_all=is_all)
    with open_project(None) as project:
        choice.check_group(project)
        found = named(project, ids, choice) if ids else choice.among(project.stores)
        # What cannot be read may be somebody's file.
        paths = [(s.url, each.path) for s, each in found if ids or isinstance(each, DeadLetter)]
        many = counted(len(paths), "dead letter")
        if paths and not ids and not yes:
            if not sys.stdin.isatty():
                fix = "add --yes to remove them"
                raise ConfigError(f"{many} would be removed for good", "dead-letter drop", fix)
            if not click.confirm(f"remove {many} for good?", err=True):
                paths = []
        for store in project.stores:
            store.delete_many(path for url, path in paths if url == store.url)
    if as_json:
        print_json({"dropped": len(paths)})
    else:
        click.echo(f"{many} removed" if paths else "nothing is removed")


def _sent_back(
    found: Found, to: Callable[[DeadLetter], str]
) -> tuple[Counter[str], dict[str, KlioError]]:
    """How many were sent back to each sensor, and why the others were not."""
    sent: Counter[str] = Counter()
    failed: dict[str, KlioError] = {}
    for store, each in found:
        try:
            send_back(store, each, to)
        except (MessageError, ConfigError) as error:
            failed[each.id] = error
        else:
            sent[to(each) if isinstance(each, DeadLetter) else ""] += 1
    return sent, failed


def _is_coming(project: Project, letter_id: str) -> bool:
    """It is no dead letter any more, but no sensor has taken it in yet."""
    return not any(begins(kept(store), letter_id) for store in project.stores) and any(
        begins(on_their_way(store), letter_id) for store in project.stores
    )


def _sensor_of(project: Project, asked: str | None) -> Callable[[DeadLetter], str]:
    """Gives the sensor that one is sent back to, which is always one of the project's.

    Raises:
        ConfigError: the project has no sensor of the name that was asked for.
    """
    sensors: dict[str, str] = {}
    for each in project.groups:
        made = message_sensors(each.location.repository.sensor_defs)
        sensors |= {name: settings.group.name for name, settings in made.items()}
    if asked is not None and asked not in sensors:
        close = did_you_mean(asked, sensors)
        fix = close or f"there are: {', '.join(sorted(sensors)) or 'none'}"
        raise ConfigError("the project has no such sensor for messages", f"sensor '{asked}'", fix)
    of_group = {group: name for name, group in sorted(sensors.items(), reverse=True)}

    def sensor_of(found: DeadLetter) -> str:
        name = asked or found.sensor or of_group.get(found.group) or own_sensor(found)
        if name not in sensors:
            raise ConfigError(
                f"its sensor '{printable(name)}' is not in the project any more",
                where=f"dead letter {found.id}",
                fix="name the one that is to take it in with --sensor",
            )
        return name

    return sensor_of


def _said(failed: dict[str, KlioError]) -> dict[str, str]:
    return {letter_id: str(error) for letter_id, error in failed.items()}


def _warn_of(problems: Sequence[KlioError]) -> None:
    """The first of them on stderr, a line each."""
    for problem in problems[:_MOST_PROBLEMS]:
        warn(" ".join(str(problem).split()))
    if len(problems) > _MOST_PROBLEMS:
        warn(f"and {len(problems) - _MOST_PROBLEMS:,} more; --json lists all")
