"""`klio run`: compute what is missing, failed or stale, in this process."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import dagster as dg

from klio_dagster.cli.asking import Asked, asking_options
from klio_dagster.cli.execution import executed
from klio_dagster.cli.output import (
    common,
    example,
    is_debug,
    select_option,
    table,
    warn,
)
from klio_dagster.cli.progress import progress_shown
from klio_dagster.cli.project import Project, ProjectGroup, open_project
from klio_dagster.cli.report import Report, merge, reported
from klio_dagster.cli.streams import own_streams
from klio_dagster.core.ids import printable
from klio_dagster.core.place import cut
from klio_dagster.core.request import ALL_CHANGES
from klio_dagster.core.state import ALL
from klio_dagster.defs.requested import entity_run_tags, named_entities
from klio_dagster.defs.strays import told_of_strays
from klio_dagster.defs.summary import COUNTS, SHOWN_CHARACTERS, SHOWN_FAILURES
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals import launching
from klio_dagster.store.layout import failures_path, request_path


@click.command(
    epilog=example(
        "klio run",
        "klio run track-1 track-2 --select mel+",
        "klio run --entities failed --json",
    )
)
@reported
@asking_options
@select_option
@click.option("--launch", is_flag=True, help="Put it into Dagster's run queue and print its id.")
@click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait for entities another run is computing. Default: 900.",
)
@click.option(
    "--new-ledger",
    is_flag=True,
    help="Go on in a store that another Dagster instance has recorded, or that lacks the outputs.",
)
@common
def run(
    asked: Asked,
    select: str | None,
    launch: bool,
    max_wait: float | None,
    new_ledger: bool,
    as_json: bool,
    report: Report,
) -> int:
    """Compute what is missing, failed or stale; what is up to date is skipped.

    Without ids: the whole catalogue. With --json stdout ends with one object also when the run
    cannot go on: its "error" is the line on stderr, and counts that are not known are 0. Exit code
    1 when something failed, waits, or is not announced: "unpublished" says why.
    """
    report.is_launch = launch
    further: dict[str, Any] = {} if max_wait is None else {"max_wait_s": max_wait}
    if new_ledger:
        further["allow_new_ledger"] = True
    with open_project(select) as project:
        report.keys = [key for group in project.groups for key in group.keys]
        # All of them before the first one runs: an unknown id stops everything.
        numbers = [len(asked.request(project, group).entities) for group in project.groups]
        if launch:
            _launch(project, asked, numbers, further, report)
            if not as_json:
                click.echo("\n".join(report.run_ids))
            return 0
        with own_streams(quietly=not is_debug()) as terminal:
            for group, number in zip(project.groups, numbers, strict=True):
                run_id = _create(project, group, asked, number, further)
                report.run_ids.append(run_id)
                shown = None if as_json else terminal
                with progress_shown(shown, group.group.name) as watch:
                    report.summaries.append(
                        executed(
                            project,
                            group,
                            run_id,
                            watch,
                            lambda line: print(line, file=terminal, flush=True),
                            quietly=not is_debug(),
                        )
                    )
        merged = merge(report.summaries)
        if not as_json:
            _print_summary(merged, project.groups, report.summaries)
    unpublished = merged.get("unpublished")
    if unpublished:
        warn(unpublished)
    waiting = any(counts["waiting"] for counts in merged["assets"].values())
    return int(bool(merged["failures"] or merged["blocked"] or waiting or unpublished))


def run_config(
    group: ProjectGroup, asked: Asked, named: Mapping[str, Any] | None, further: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The run config that asks for the same; only what differs from its defaults.

    Args:
        group: whose run it is for.
        asked: what the command line asks for.
        named: the part of the run config that names entities; the state when None.
        further: more of it.
    """
    config = {**(named or {"entities": asked.state}), **further}
    if asked.force:
        config["force"] = True
    if asked.rerun_on != ALL_CHANGES:
        config["rerun_on"] = sorted(reason.value for reason in asked.rerun_on)
    return {"ops": {group.group.name: {"config": config}}}


def _create(
    project: Project,
    group: ProjectGroup,
    asked: Asked,
    number: int,
    further: Mapping[str, Any],
) -> str:
    """Create the run of one group; nothing is computed yet."""
    named = None
    if asked.named is not None:
        file = request_path(str(uuid.uuid4()))
        named = named_entities(group.store, asked.named, file)
    return launching.create_asset_run(
        project.instance,
        group.location,
        [dg.AssetKey(key.split("/")) for key in group.keys],
        run_config(group, asked, named, further),
        entity_run_tags(str(number) if asked.state == ALL else asked.state),
    )


def _launch(
    project: Project,
    asked: Asked,
    numbers: Sequence[int],
    further: Mapping[str, Any],
    report: Report,
) -> None:
    """Put a run of each group into the queue; none is made that could not go there.

    Raises:
        ConfigError: there is no queue.
    """
    if not launching.has_queue(project.instance):
        raise ConfigError(
            "this instance has no run queue",
            where="klio run --launch",
            fix="remove run_coordinator from its dagster.yaml, or run without --launch",
        )
    for group, number in zip(project.groups, numbers, strict=True):
        run_id = _create(project, group, asked, number, further)
        report.run_ids.append(run_id)
        launching.enqueue(project.instance, run_id)


def _print_summary(
    merged: Mapping[str, Any],
    groups: Sequence[ProjectGroup],
    summaries: Sequence[Mapping[str, Any]],
) -> None:
    rows = [[key, *(counts[name] for name in COUNTS)] for key, counts in merged["assets"].items()]
    click.echo(table(rows, ["asset", *COUNTS]))
    for line in _told_of_checks(merged["checks"]):
        click.echo(line)
    for line in told_of_strays(merged.get("sources", {})):
        click.echo(line)
    failures = merged["failures"]
    if failures:
        blocked = f", {merged['blocked']:,} blocked by them" if merged["blocked"] else ""
        click.echo(f"\n{len(failures):,} failed{blocked}:")
    for failure in failures[:SHOWN_FAILURES]:
        asset = f" {failure['asset']}" if failure["asset"] else ""
        error = cut(" ".join(failure["error"].split()), SHOWN_CHARACTERS)
        click.echo(f"  {printable(failure['entity'])}{asset}: {error}")
    if len(failures) > SHOWN_FAILURES:
        click.echo(f"  and {len(failures) - SHOWN_FAILURES:,} more")
    for group, summary in zip(groups, summaries, strict=True):
        if summary["failures"]:
            click.echo(f"full list: {group.store.uri(failures_path(summary['run_id']))}")
    runs = ", ".join(summary["run_id"] for summary in summaries)
    click.echo(f"\n{merged['seconds']:.1f} s, run {runs}")
    if merged["spent"]:
        click.echo(_told_of_time(merged["spent"]))


def _told_of_checks(checks: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Iterator[str]:
    """A line for each check that not everything passed."""
    for key, by_check in checks.items():
        for check, counts in by_check.items():
            found = [f"{counts[name]:,} {name}" for name in ("warned", "failed") if counts[name]]
            if found:
                yield f"check {check} of {key}: {', '.join(found)}"


def _told_of_time(spent: Mapping[str, Mapping[str, Any]]) -> str:
    """What the workers spent on each asset, and the one output that took longest."""
    total = sum(each["seconds"] for each in spent.values()) or 1.0
    parts = [f"{key} {s['seconds']:.2f} s ({s['seconds'] / total:.0%})" for key, s in spent.items()]
    key, longest = max(spent.items(), key=lambda each: each[1]["slowest"]["seconds"])
    entity, seconds = longest["slowest"]["entity"], longest["slowest"]["seconds"]
    return f"workers: {', '.join(parts)}; slowest {printable(entity)} {key}, {seconds:.2f} s"
