"""`klio plan`: what a run would do."""

import click

from klio_dagster.cli.asking import Asked, asking_options, planned
from klio_dagster.cli.output import common, example, print_json, select_option, table
from klio_dagster.cli.project import open_project
from klio_dagster.cli.waits import counted_waits, told_of_waits


@click.command(
    epilog=example("klio plan", "klio plan track-1 --select mel+", "klio plan --force --json")
)
@asking_options
@select_option
@common
def plan(asked: Asked, select: str | None, as_json: bool) -> None:
    """Show what a run would do, and why. Nothing is written."""
    with open_project(select) as project:
        counts = {
            group.group.keys[name]: by_decision
            for group in project.groups
            for name, by_decision in planned(project, group, asked)[1].counts().items()
        }
        waiting = counted_waits(project)
    if as_json:
        print_json({"assets": counts})
        return
    rows = [
        [asset, decision, reason, number]
        for asset, by_decision in counts.items()
        for decision, by_reason in by_decision.items()
        for reason, number in by_reason.items()
    ]
    click.echo(table(rows, ["asset", "decision", "reason", "entities"]))
    if waiting:
        click.echo(f"\n{told_of_waits(waiting)}")
