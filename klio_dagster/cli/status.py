"""`klio status` and `klio failures`: what the ledger says of the whole catalogue."""

from collections.abc import Sequence
from itertools import groupby

import click

from klio_dagster.cli.asking import Asked
from klio_dagster.cli.inboxes import Unfinished
from klio_dagster.cli.output import (
    common,
    example,
    print_json,
    select_option,
    table,
)
from klio_dagster.cli.project import Project, open_project
from klio_dagster.cli.waits import counted_waits, told_of_waits
from klio_dagster.core.ids import check_id, printable
from klio_dagster.core.place import cut
from klio_dagster.core.record import FailedPair, FlaggedPair
from klio_dagster.core.wording import counted
from klio_dagster.defs.knowledge import held_by_others
from klio_dagster.defs.partitions import registered
from klio_dagster.defs.requested import in_catalogue
from klio_dagster.defs.summary import SHOWN_CHARACTERS
from klio_dagster.observe.failures import failures_of, grouped
from klio_dagster.observe.flags import counted_flags, flagged_of
from klio_dagster.observe.status import Status
from klio_dagster.observe.survey import surveyed

_MOST_GROUPS = 10  # two lines each: a screen
_COUNTS = ("materialized", "failed", "missing", "stale")


@click.command(epilog=example("klio status", "klio status --select features --json"))
@select_option
@common
def status(select: str | None, as_json: bool) -> None:
    """Count what is materialized, failed, missing and stale.

    Materialized, failed and missing make up all entities; stale ones are materialized, but their
    code or their input has changed since. After them: how many wait for an input that was asked for
    upstream, and what messages ask for that is not finished.
    """
    with open_project(select) as project:
        flagged = flagged_in(project)
        waiting = counted_waits(project)
        unfinished = Unfinished.of(project)
        found = Status.of_groups(
            surveyed(
                each.group,
                (request := Asked().request(project, each)),
                each.selected,
                ledger=project.ledger,
                store=each.store,
                partitioned=each.partitioned,
                in_flight=held_by_others(each.store, each.keys, request.entities),
            )
            for each in project.groups
        )
    if as_json:
        # Only where there are some: the object is read by programs.
        some = {
            "flagged": counted_flags(flagged),
            "waiting": waiting,
            **unfinished.to_json(),
        }
        print_json({**found.to_json(), **{name: what for name, what in some.items() if what}})
        return
    rows = [[key, *(counts[name] for name in _COUNTS)] for key, counts in found.assets.items()]
    click.echo(table(rows, ["asset", *_COUNTS]))
    click.echo(f"\n{counted(found.entities, 'entity', 'entities')}")
    if flagged:
        click.echo(_told_of_flags(flagged))
    if waiting:
        click.echo(told_of_waits(waiting))
    for line in unfinished.lines():
        click.echo(line)


@click.command(
    epilog=example(
        "klio failures",
        "klio failures --select recording --all",
        "klio failures --entity track-1 --json",
    )
)
@click.option("--all", "is_all", is_flag=True, help="List every failure instead of groups.")
@click.option(
    "--entity", "entities", multiple=True, metavar="ID", help="List those of this entity only."
)
@select_option
@common
def failures(is_all: bool, entities: tuple[str, ...], select: str | None, as_json: bool) -> None:
    """Show what failed at its last attempt, and why.

    Failures of an asset that say the same are one group, with a count and examples; # stands for
    a number, {entity} for the id. Root causes only; what could not be computed because of them is
    counted. After them: what is stored though a check with severity `warn` did not pass.
    """
    with open_project(select) as project:
        keys = [key for group in project.groups for key in group.keys]
        named = _known(project, entities) or None
        found = failures_of(project.ledger, keys, named, flagged_in(project, named))
    if as_json:
        print_json(found.to_json())
        return
    show = _list if is_all or entities else _list_groups
    if not found.causes:
        click.echo("nothing failed")
    show(found.causes, "failed")
    if found.blocked:
        is_or_are = "is" if found.blocked == 1 else "are"
        click.echo(f"{counted(found.blocked, 'output')} {is_or_are} blocked by them")
    show([_as_failed(pair) for pair in found.flagged], "flagged by checks, and stored")


def flagged_in(project: Project, entities: Sequence[str] | None = None) -> list[FlaggedPair]:
    """What is stored though a check did not pass, of the selected assets.

    Raises:
        LedgerError: Dagster's log cannot be read.
    """
    return [
        pair
        for each in project.groups
        for pair in flagged_of(each.group, each.selected, project.ledger, entities)
    ]


def _known(project: Project, entities: Sequence[str]) -> list[str]:
    """The entities, if one of the selected groups has them in its catalogue.

    Raises:
        ConfigError: one is in no catalogue.
        InvalidEntityIdError: one can be in none.
    """
    ids = {
        each.group.partitions: registered(project.instance, each.group.partitions)
        for each in project.groups
        if entities
    }
    names = " or ".join(ids)
    known = list(dict.fromkeys(entity for of_one in ids.values() for entity in of_one))
    asked = [check_id(entity) for entity in entities]
    return list(in_catalogue(asked, known, names, project.groups[0].store))


def _told_of_flags(flagged: Sequence[FlaggedPair]) -> str:
    """How many outputs are flagged, by asset and check."""
    outputs = len({(pair.asset, pair.entity) for pair in flagged})
    by_asset = "; ".join(
        f"{asset}: {', '.join(f'{check} {number:,}' for check, number in checks.items())}"
        for asset, checks in counted_flags(flagged).items()
    )
    return f"{counted(outputs, 'output')} flagged by checks ({by_asset}): klio failures"


def _as_failed(pair: FlaggedPair) -> FailedPair:
    """A flag among the failures that are listed."""
    return FailedPair(pair.asset, pair.entity, pair.check, str(pair), run_id="")


def _list(causes: Sequence[FailedPair], what: str) -> None:
    """Each failure on a line."""
    for asset, pairs in groupby(causes, key=lambda pair: pair.asset):
        failed = list(pairs)
        click.echo(click.style(f"{asset}: {len(failed):,} {what}", bold=True))
        for pair in failed:
            click.echo(f"  {printable(pair.entity)}: {cut(pair.error, SHOWN_CHARACTERS)}")


def _list_groups(causes: Sequence[FailedPair], what: str) -> None:
    """The largest groups, as many as a screen holds."""
    groups = grouped(causes)
    shown = sorted(groups, key=lambda group: -group.count)[:_MOST_GROUPS]
    kept = {id(group) for group in shown}
    for asset, each in groupby(groups, key=lambda group: group.asset):
        of_asset = list(each)
        total = sum(group.count for group in of_asset)
        click.echo(click.style(f"{asset}: {total:,} {what}", bold=True))
        for group in of_asset:
            if id(group) not in kept:
                continue
            names = ", ".join(printable(entity) for entity in group.examples)
            if group.count == 1:  # nothing in common with others: as it is
                click.echo(f"  {names}: {cut(group.error, SHOWN_CHARACTERS)}")
                continue
            more = ", ..." if group.count > len(group.examples) else ""
            click.echo(f"  {group.count:,} x {cut(group.message, SHOWN_CHARACTERS)}")
            click.echo(f"      {names}{more}")
    if len(groups) > len(shown):
        left = sum(group.count for group in groups) - sum(group.count for group in shown)
        click.echo(f"and {left:,} more that say {len(groups) - len(shown):,} other things (--all)")
