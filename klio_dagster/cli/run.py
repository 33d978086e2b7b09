"""`klio run`: compute what is missing, failed or stale, in this process."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import click
import dagster as dg

from klio_dagster.cli.asking import Asked, asking_options, request_lines
from klio_dagster.cli.execution import executed, own_streams
from klio_dagster.cli.output import (
    common,
    example,
    is_debug,
    print_json,
    printable,
    select_option,
    table,
)
from klio_dagster.cli.progress import progress_shown
from klio_dagster.cli.project import Project, ProjectGroup, open_project
from klio_dagster.core.request import ALL_CHANGES
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals import launching
from klio_dagster.store.layout import OWN_FOLDER, failures_path

_MOST_INLINE = 1000  # ids in a run config: the UI shows all of it on one page
_SHOWN_FAILURES = 10
_SHOWN_CHARACTERS = 300
_COUNTS = ("materialized", "skipped", "failed", "waiting")


@click.command(
    epilog=example(
        "klio run",
        "klio run track-1 track-2 --select mel+",
        "klio run --entities failed --json",
    )
)
@asking_options
@select_option
@click.option("--launch", is_flag=True, help="Put it into Dagster's run queue and print its id.")
@common
def run(asked: Asked, select: str | None, launch: bool, as_json: bool) -> int:
    """Compute what is missing, failed or stale; what is up to date is skipped.

    Without ids: the whole catalogue.
    """
    with open_project(select) as project:
        # All of them before the first one runs: an unknown id stops everything.
        numbers = [len(asked.request(project, group).entities) for group in project.groups]
        if launch:
            runs = [
                _create(project, group, asked, number)
                for group, number in zip(project.groups, numbers, strict=True)
            ]
            return _enqueue(project, runs, as_json)
        summaries: list[Mapping[str, Any]] = []
        with own_streams(quietly=not is_debug()) as terminal:
            for group, number in zip(project.groups, numbers, strict=True):
                run_id = _create(project, group, asked, number)
                shown = None if as_json else terminal
                with progress_shown(shown, group.group.name) as watch:
                    summaries.append(
                        executed(project, group, run_id, watch, quietly=not is_debug())
                    )
        merged = merge(summaries)
        if as_json:
            print_json(merged)
        else:
            _print_summary(merged, project.groups, summaries)
    waiting = any(counts["waiting"] for counts in merged["assets"].values())
    return int(bool(merged["failures"] or merged["blocked"] or waiting))


def run_config(
    group: ProjectGroup, asked: Asked, manifest: str | None = None
) -> dict[str, dict[str, Any]]:
    """The run config that asks for the same; only what differs from its defaults.

    Args:
        group: whose run it is for.
        asked: what the command line asks for.
        manifest: path of a request file that names the entities.
    """
    config: dict[str, Any] = {}
    if manifest is not None:
        config["manifest"] = manifest
    else:
        config["entities"] = asked.state if asked.named is None else list(asked.named)
    if asked.force:
        config["force"] = True
    if asked.rerun_on != ALL_CHANGES:
        config["rerun_on"] = sorted(asked.rerun_on)
    return {"ops": {group.group.name: {"config": config}}}


def merge(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The summaries of several runs as one; a single one as it is."""
    merged: dict[str, Any] = {
        "run_id": summaries[-1]["run_id"],
        "seconds": round(sum(each["seconds"] for each in summaries), 3),
        "assets": {key: counts for each in summaries for key, counts in each["assets"].items()},
        "failures": _each_once([f for each in summaries for f in each["failures"]]),
        "blocked": sum(each["blocked"] for each in summaries),
    }
    if len(summaries) > 1:
        merged["run_ids"] = [each["run_id"] for each in summaries]
    return merged


def _each_once(failures: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The failures; an id that every group refused is one failure."""
    refused: set[str] = set()
    kept: list[Mapping[str, Any]] = []
    for failure in failures:
        if failure["asset"] is None:
            if failure["entity"] in refused:
                continue
            refused.add(failure["entity"])
        kept.append(failure)
    return kept


def _create(project: Project, group: ProjectGroup, asked: Asked, number: int) -> str:
    """Create the run of one group; nothing is computed yet."""
    manifest = None
    if asked.named is not None and len(asked.named) > _MOST_INLINE:
        manifest = f"{OWN_FOLDER}/requests/{uuid.uuid4()}.jsonl"
        group.store.put(manifest, request_lines(asked.named))
    return launching.create_asset_run(
        project.instance,
        group.location,
        [dg.AssetKey(key.split("/")) for key in group.keys],
        run_config(group, asked, manifest),
        {
            # The op records its events itself, in batches; and what failed is not tried again
            # before somebody has looked at it.
            "dagster/defer_asset_events": "true",
            "dagster/retry_on_asset_or_op_failure": "false",
            "klio/entities": str(number) if asked.state == "all" else asked.state,
        },
    )


def _enqueue(project: Project, runs: Sequence[str], as_json: bool) -> int:
    for run_id in runs:
        if not launching.enqueue(project.instance, run_id):
            raise ConfigError(
                "this instance has no run queue",
                where="klio run --launch",
                fix="remove run_coordinator from its dagster.yaml, or run without --launch",
            )
    if as_json:
        print_json({"run_ids": list(runs)})
    else:
        click.echo("\n".join(runs))
    return 0


def _print_summary(
    merged: Mapping[str, Any],
    groups: Sequence[ProjectGroup],
    summaries: Sequence[Mapping[str, Any]],
) -> None:
    rows = [[key, *(counts[name] for name in _COUNTS)] for key, counts in merged["assets"].items()]
    click.echo(table(rows, ["asset", *_COUNTS]))
    failures = merged["failures"]
    if failures:
        click.echo(f"\n{len(failures):,} failed, {merged['blocked']:,} blocked by them:")
    for failure in failures[:_SHOWN_FAILURES]:
        asset = f" {failure['asset']}" if failure["asset"] else ""
        error = " ".join(failure["error"].split())[:_SHOWN_CHARACTERS]
        click.echo(f"  {printable(failure['entity'])}{asset}: {error}")
    if len(failures) > _SHOWN_FAILURES:
        click.echo(f"  and {len(failures) - _SHOWN_FAILURES:,} more")
    for group, summary in zip(groups, summaries, strict=True):
        if summary["failures"]:
            click.echo(f"full list: {group.store.uri(failures_path(summary['run_id']))}")
    runs = ", ".join(summary["run_id"] for summary in summaries)
    click.echo(f"\n{merged['seconds']:.1f} s, run {runs}")
