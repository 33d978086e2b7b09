"""`klio gc`: remove what nobody needs any more."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import click
import dagster as dg

from klio_dagster.cli.output import apply_option, common, example, print_json, table
from klio_dagster.cli.project import Project, ProjectGroup, open_project
from klio_dagster.codecs.registry import suffixes
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.adopted import check_store_is_ours
from klio_dagster.ledger.garbage import Keep, Kind, Output, garbage, orphans, remove
from klio_dagster.store.clock import store_time, time_at
from klio_dagster.store.objects import ObjectInfo
from klio_dagster.store.store import Store

_AGE = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_WAITING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

Found = list[tuple[Store, Kind, list[ObjectInfo]]]


@click.command(
    epilog=example("klio gc", "klio gc --older-than 7d --apply", "klio gc --orphans --json")
)
@click.option(
    "--older-than",
    default="30d",
    show_default=True,
    metavar="AGE",
    help="Of receipts, manifests, lists and requests: 12h, 30d, 4w.",
)
@click.option("--orphans", "with_orphans", is_flag=True, help="Outputs no record names go too.")
@apply_option
@common
def gc(older_than: str, with_orphans: bool, apply: bool, as_json: bool) -> None:
    """Remove what nobody needs any more.

    Says what would go and changes nothing, unless --apply is given: leftovers of killed writes,
    claims that hold nothing, and receipts, manifests, lists, requests and notes of what was passed
    on of old runs. Nothing goes that a run still names, no message, nor what Dagster has not
    recorded yet. With --orphans also outputs that no record names: of entities that were removed,
    or stored by another codec before.
    """
    age_s = _seconds(older_than)
    with open_project(None) as project:
        found = list(_found(project, age_s, with_orphans=with_orphans, writes=apply))
        if apply:
            for store, kind, objects in found:
                remove(store, kind, objects)
    counted = _counted(found, with_orphans=with_orphans)
    if as_json:
        print_json({"applied": apply, "kinds": counted})
        return
    rows = [[kind, each["objects"], each["bytes"]] for kind, each in counted.items()]
    click.echo(table(rows, ["removed" if apply else "to remove", "objects", "bytes"]))
    if not apply:
        click.echo("\nnothing is changed: add --apply to do it")


def _found(
    project: Project, age_s: float, *, with_orphans: bool, writes: bool
) -> Iterator[tuple[Store, Kind, list[ObjectInfo]]]:
    """What may go, by store and kind."""
    stores = {each.store.url: each.store for each in project.groups}
    for url, store in stores.items():
        check_store_is_ours(store, project.instance)
        groups = [each for each in project.groups if each.store.url == url]
        # Before any claim is read.
        now = store_time(store) if writes else time_at(store)
        keep = Keep(younger_than=now - age_s, requests=_waiting_requests(project))
        keys = [key for each in groups for key in each.keys]
        objects: dict[Kind, list[ObjectInfo]] = {}
        for kind, info in garbage(store, project.ledger, keep, keys, now=now):
            objects.setdefault(kind, []).append(info)
        if with_orphans:
            for kind, info in orphans(store, project.ledger, _outputs(groups), now=now):
                objects.setdefault(kind, []).append(info)
        yield from ((store, kind, infos) for kind, infos in objects.items())


def _outputs(groups: Sequence[ProjectGroup]) -> Iterator[Output]:
    for each in groups:
        for asset in each.group.chain.assets:
            key = each.group.keys[asset.name]
            yield Output(key=key, suffix=asset.output.suffix, suffixes=suffixes())


def _waiting_requests(project: Project) -> frozenset[str]:
    """The request files of runs that have not come to their end."""
    runs = project.instance.get_runs(filters=dg.RunsFilter(statuses=_WAITING))
    configs = [cast("dict[str, Any]", run.run_config) for run in runs]
    ops = [op for config in configs for op in (config.get("ops") or {}).values()]
    return frozenset(path for op in ops if (path := _request_file(op)) is not None)


def _request_file(op: object) -> str | None:
    """The request file in the run config of an op, which may be of any job and have any form."""
    match op:
        case {"config": {"manifest": str(path)}}:
            return path
        case _:
            return None


def _counted(found: Found, *, with_orphans: bool) -> Mapping[str, Any]:
    counted = {
        kind.value: {"objects": 0, "bytes": 0}
        for kind in Kind
        if kind is not Kind.ORPHAN or with_orphans
    }
    for _, kind, objects in found:
        counted[kind]["objects"] += len(objects)
        counted[kind]["bytes"] += sum(info.size for info in objects)
    return counted


def _seconds(age: str) -> float:
    """An age as people write it.

    Raises:
        ConfigError: it is none.
    """
    match = _AGE.fullmatch(age.strip())
    if match is None:
        raise ConfigError(f"{age!r} is no age", where="--older-than", fix="write 12h, 30d or 4w")
    return int(match[1]) * _SECONDS[match[2]]
