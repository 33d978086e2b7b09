"""`klio view`: see and hear the tracks of the catalogue, on a page of this machine."""

import os
import signal
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit

import click
import dagster as dg

from klio_dagster.cli.asking import Asked, planned
from klio_dagster.cli.explain import explained
from klio_dagster.cli.output import common, example, print_json, select_option
from klio_dagster.cli.project import Project, ProjectGroup, open_project
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.state import states
from klio_dagster.defs.partitions import registered
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.observe.view import View, ViewedAsset
from klio_dagster.observe.view_index import Stand
from klio_dagster.observe.view_server import HOST, ViewServer


@click.command(epilog=example("klio view", "klio view --port 3001 --no-open"))
@click.option("--port", type=click.IntRange(1, 65535), help="Default: one that is free.")
@click.option(
    "--open/--no-open", "opens", default=True, help="Open it in the browser. Default: yes."
)
@click.option(
    "--dagster-url",
    metavar="URL",
    default="http://127.0.0.1:3000",
    help="Where Dagster's pages are, to link to. Default: those of `klio dev`.",
)
@select_option
@common
def view(port: int | None, opens: bool, dagster_url: str, select: str | None, as_json: bool) -> int:
    """See and hear the tracks on a page of this machine, until Ctrl-C.

    Every entity with its states, thumbnails, numbers and errors, and a player for every `Audio`
    output. Nothing is written, and only this machine can open the page.
    """
    _check_url(dagster_url)
    stop = Event()
    with ExitStack() as stack:
        project = stack.enter_context(open_project(select))
        # A connection of its own for what reads the whole catalogue: it would keep the pages' busy.
        bulk = replace(project, instance=stack.enter_context(dg.DagsterInstance.get()))
        views = _views(project, bulk)
        server = stack.enter_context(_server(views, port or 0, dagster_url.rstrip("/")))
        stack.callback(stop.set)
        # Only now: Dagster sets a handler of its own when definitions are loaded.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            for each in views:
                Thread(target=each.keep_fresh, args=(stop,), daemon=True).start()
            _tell(server, opens=opens, as_json=as_json)
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _tell(server: ViewServer, *, opens: bool, as_json: bool) -> None:
    if as_json:
        print_json({"address": server.url, "dagster": server.dagster_url})
    else:
        click.echo(f"Catalogue: {server.url} (Ctrl-C ends it)")
    if opens:
        webbrowser.open(server.url)


def _check_url(url: str) -> None:
    """Refuse what would be a link to something else than a page.

    Raises:
        ConfigError: it is no address of a web server.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigError(
            f"{url!r} is no address", where="--dagster-url", fix="use http://127.0.0.1:3000, say"
        )


def _server(views: Sequence[View], port: int, dagster_url: str) -> ViewServer:
    """The server, listening.

    Raises:
        ConfigError: the port is in use.
    """
    try:
        return ViewServer(views, port=port, dagster_url=dagster_url)
    except OSError as error:
        raise ConfigError(
            f"it cannot be listened on ({os.strerror(error.errno or 0)})",
            where=f"port {port} of {HOST}",
            fix="use another one with --port, or none: then a free one is used",
        ) from error


def _views(project: Project, bulk: Project) -> list[View]:
    """A view for each catalogue, in the order of the groups."""
    catalogues = dict.fromkeys(each.group.partitions for each in project.groups)
    return [_view(project, bulk, catalogue) for catalogue in catalogues]


def _view(project: Project, bulk: Project, catalogue: str) -> View:
    groups = [each for each in project.groups if each.group.partitions == catalogue]
    # Loaded once, as all commands do; explaining is no work that two threads should do at once.
    one_at_a_time = Lock()

    def explained_by_groups(entity: str) -> list[dict[str, Any]]:
        with one_at_a_time:
            return [
                asset
                for group in groups
                for asset in explained(project, group, entity, force=False)
            ]

    return View(
        catalogue,
        [each for group in groups for each in _assets(group)],
        source=_Bulk(bulk, groups),
        ledger=project.ledger,
        explained=explained_by_groups,
    )


def _assets(group: ProjectGroup) -> Iterator[ViewedAsset]:
    for asset in group.group.chain.assets:
        if asset.name in group.selected:
            assert isinstance(asset, EntityAsset)
            yield ViewedAsset(group.group.keys[asset.name], asset, group.store)


@dataclass(frozen=True, slots=True)
class _Bulk:
    """What a view reads of all entities: as `klio status` does.

    Args:
        project: with a connection of its own.
        groups: of one catalogue.
    """

    project: Project
    groups: Sequence[ProjectGroup]

    @property
    def ledger(self) -> Ledger:
        """Dagster's log."""
        return self.project.ledger

    def entities(self) -> Sequence[str]:
        """The ids of the catalogue."""
        return registered(self.project.instance, self.groups[0].group.partitions)

    def stands(self) -> Iterator[Stand]:
        """Where every (asset, entity) stands."""
        for group in self.groups:
            gathered, plan = planned(self.project, group, Asked())
            records, keys = gathered.knowledge.records, group.group.keys
            for name, entity, state in states(plan, records):
                record = records.get(name, {}).get(entity)
                yield Stand(keys[name], entity, state, record.timestamp if record else 0.0)
