"""The project a command is called in: its folder, Dagster's home, its groups of entity assets."""

import gc
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import Any

import dagster as dg

from klio_dagster.cli.home import ensure_home
from klio_dagster.cli.refusals import loading, nothing_selected, one_line, selected_keys
from klio_dagster.cli.streams import printed_to_stderr
from klio_dagster.cli.workspace import WORKSPACE, find_folder, workspace_of
from klio_dagster.defs.group import EntityGroup, group_of
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.defs.requested import partitioned_outside
from klio_dagster.defs.resource import KlioResource
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals import launching
from klio_dagster.ledger.internals.definitions import partitions_in
from klio_dagster.ledger.ledger import Ledger, ledger_of
from klio_dagster.store.store import Store
from klio_dagster.streaming.settings import message_sensors


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectGroup:
    """A group of the project, as far as `--select` selects it.

    Args:
        group: what `@klio_assets` made.
        selected: names of the selected assets, upstream first.
        keys: their asset keys.
        partitioned: keys of the outside assets that have the group's partitions.
        store: where the group's outputs lie.
        engine: what computes them, as a manifest says it.
        pubsub: where its messages come from and go to.
        location: the code location it is defined in.
    """

    group: EntityGroup
    selected: Sequence[str]
    keys: Sequence[str]
    partitioned: Collection[str]
    store: Store
    engine: Mapping[str, Any]
    pubsub: KlioPubSubResource
    location: launching.Location


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded project.

    Args:
        folder: where its workspace.yaml or pyproject.toml lies.
        instance: Dagster's, open.
        groups: the selected ones, upstream first.
        sensors: names of all its message sensors, whatever is selected.
    """

    folder: Path
    instance: dg.DagsterInstance
    groups: Sequence[ProjectGroup]
    sensors: Collection[str]

    @property
    def ledger(self) -> Ledger:
        """Dagster's log, outside of a run."""
        return ledger_of(self.instance, describe=metadata_of)

    @property
    def stores(self) -> Sequence[Store]:
        """The stores of the selected groups, each once."""
        return list({each.store.url: each.store for each in self.groups}.values())

    def catalogue(self) -> str:
        """The one catalogue of the selected groups.

        Raises:
            ConfigError: they have several.
        """
        names = sorted({each.group.partitions for each in self.groups})
        if len(names) > 1:
            raise ConfigError(
                f"there are several catalogues: {', '.join(names)}",
                where="project",
                fix="name the assets of one with --select",
            )
        return names[0]


OpenInstance = Callable[[Path], AbstractContextManager[dg.DagsterInstance]]
"""Opens Dagster's instance, of a home that the environment names."""


def _opened(_home: Path) -> AbstractContextManager[dg.DagsterInstance]:
    return dg.DagsterInstance.get()


@contextmanager
def open_project(select: str | None, open_instance: OpenInstance = _opened) -> Iterator[Project]:
    """The project of the working directory, which becomes its folder.

    Args:
        select: Dagster's asset selection; all entity assets when None.
        open_instance: for who goes on without one.

    Raises:
        ConfigError: there is no project, it cannot be loaded, or nothing is selected.
    """
    folder = find_folder(Path.cwd())
    home = ensure_home(folder)
    os.chdir(folder)
    # Not first: Dagster takes that entry away while it imports.
    sys.path.insert(1, str(folder))
    with ExitStack() as stack:
        with one_line(f"DAGSTER_HOME '{home}'", "mend its dagster.yaml"):
            instance = stack.enter_context(open_instance(home))
        with printed_to_stderr():
            with loading(folder):
                locations = list(launching.load_locations(workspace_of(folder), folder / WORKSPACE))
            groups = [
                group for each in locations for group in _groups(each, select, instance, folder)
            ]
        if not groups and select:
            refused = nothing_selected(select, _keys_of_groups(locations))
            raise refused
        if not groups:
            raise ConfigError(
                "there is no group of entity assets in it",
                where=f"project '{folder}'",
                fix="make one with @klio_assets",
            )
        gc.freeze()  # what is loaded by now stays loaded
        gc.enable()
        sensors = [each.repository.sensor_defs for each in locations]
        names = frozenset(message_sensors(chain.from_iterable(sensors)))
        yield Project(folder, instance, _sorted(groups), names)


def _groups(
    location: launching.Location,
    select: str | None,
    instance: dg.DagsterInstance,
    folder: Path,
) -> Iterator[ProjectGroup]:
    graph = location.repository.asset_graph
    keys = graph.get_all_asset_keys()
    partitions = partitions_in(graph)
    if select is not None:
        keys = selected_keys(select, graph)
    wanted = [key.to_user_string() for key in keys]
    for assets in dict.fromkeys(location.repository.assets_defs_by_key.values()):
        group = group_of(assets)
        names = group.names_of(wanted) if group else []
        if group and names:
            resource = _klio_resource(location, assets, group, instance)
            yield ProjectGroup(
                group=group,
                selected=names,
                keys=[group.keys[name] for name in names],
                partitioned=partitioned_outside(group, partitions),
                store=resource.open_store(folder),
                engine=resource.engine.to_manifest(),
                pubsub=resource.pubsub,
                location=location,
            )


def _keys_of_groups(locations: Iterable[launching.Location]) -> list[str]:
    """Keys of all entity assets."""
    return [
        key
        for location in locations
        for assets in dict.fromkeys(location.repository.assets_defs_by_key.values())
        if (group := group_of(assets))
        for key in (group.keys[asset.name] for asset in group.chain.assets)
    ]


def _klio_resource(
    location: launching.Location,
    assets: dg.AssetsDefinition,
    group: EntityGroup,
    instance: dg.DagsterInstance,
) -> KlioResource:
    """The resource that the group's op will get, with its settings resolved.

    Raises:
        ConfigError: it gets none, or a setting is wrong.
    """
    job = location.repository.get_implicit_job_def_for_assets(list(assets.keys))
    bound = dict(job.resource_defs) if job else {}
    for key in assets.required_resource_keys:
        made_by = getattr(bound.get(key), "configurable_resource_cls", None)
        if isinstance(made_by, type) and issubclass(made_by, KlioResource):
            with (
                one_line(f"resource '{key}'", "mend its configuration"),
                dg.build_resources({key: bound[key]}, instance=instance) as resources,
            ):
                return getattr(resources, key)
    raise ConfigError(
        "its function takes no KlioResource",
        where=f"group '{group.name}'",
        fix="add a parameter `klio: KlioResource` and bind it in Definitions(resources=...)",
    )


def _sorted(groups: Sequence[ProjectGroup]) -> Sequence[ProjectGroup]:
    """Upstream first; as they are if they go round in a circle."""
    owners = {key: number for number, each in enumerate(groups) for key in each.keys}
    before = {
        number: {
            owners[key]
            for name in each.selected
            for key in each.group.chain.inputs(name).outside
            if key in owners
        }
        for number, each in enumerate(groups)
    }
    try:
        return [groups[number] for number in TopologicalSorter(before).static_order()]
    except CycleError:
        return groups
