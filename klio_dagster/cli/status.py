"""`klio status` and `klio failures`: what the ledger says of the whole catalogue."""

from itertools import groupby

import click

from klio_dagster.cli.asking import Asked, planned
from klio_dagster.cli.output import (
    common,
    example,
    print_json,
    select_option,
    table,
)
from klio_dagster.cli.project import open_project
from klio_dagster.core.ids import printable
from klio_dagster.defs.summary import SHOWN_CHARACTERS
from klio_dagster.observe.status import Failures, Status, failures_of, status_of

_COUNTS = ("materialized", "failed", "missing", "stale")


@click.command(epilog=example("klio status", "klio status --select features --json"))
@select_option
@common
def status(select: str | None, as_json: bool) -> None:
    """Count what is materialized, failed, missing and stale.

    Materialized, failed and missing make up all entities; stale ones are materialized, but their
    code or their input has changed since.
    """
    with open_project(select) as project:
        found = Status.of_groups(
            status_of(each.group, *planned(project, each, Asked())) for each in project.groups
        )
    if as_json:
        print_json(found.to_json())
        return
    rows = [[key, *(counts[name] for name in _COUNTS)] for key, counts in found.assets.items()]
    click.echo(table(rows, ["asset", *_COUNTS]))
    click.echo(f"\n{found.entities:,} entities")


@click.command(epilog=example("klio failures", "klio failures --select recording --json"))
@select_option
@common
def failures(select: str | None, as_json: bool) -> None:
    """List what failed at its last attempt, and why.

    Root causes only; what could not be computed because of them is counted.
    """
    with open_project(select) as project:
        keys = [key for group in project.groups for key in group.keys]
        found: Failures = failures_of(project.ledger, keys)
    if as_json:
        print_json(found.to_json())
        return
    if not found.causes:
        click.echo("nothing failed")
    for asset, pairs in groupby(found.causes, key=lambda pair: pair.asset):
        failed = list(pairs)
        click.echo(click.style(f"{asset}: {len(failed):,} failed", bold=True))
        for pair in failed:
            click.echo(f"  {printable(pair.entity)}: {pair.error[:SHOWN_CHARACTERS]}")
    if found.blocked:
        click.echo(f"{found.blocked:,} outputs are blocked by them")
