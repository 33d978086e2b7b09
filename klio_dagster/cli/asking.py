"""Which entities a command is about: those named, those of a file, or those in a state."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import click

from klio_dagster.cli.project import Project, ProjectGroup
from klio_dagster.core.plan import Plan
from klio_dagster.core.request import Request, RerunOn
from klio_dagster.core.state import ALL, STATES, State
from klio_dagster.defs.knowledge import Gathered, gather, held_by_others
from klio_dagster.defs.partitions import registered
from klio_dagster.defs.requested import in_catalogue
from klio_dagster.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a command line asks for.

    Args:
        named: entity ids, or None: those in the state.
        state: one of all, missing, failed, stale.
        force: compute the selected assets even where they are up to date.
        rerun_on: which changes make finished work stale.
    """

    named: Sequence[str] | None = None
    state: str = ALL
    force: bool = False
    rerun_on: frozenset[RerunOn] = frozenset(RerunOn)

    def request(self, project: Project, group: ProjectGroup) -> Request:
        """The request for one group; its catalogue is read.

        Raises:
            ConfigError: an entity is not in it.
        """
        known = registered(project.instance, group.group.partitions)
        entities = known
        if self.named is not None:
            entities = in_catalogue(self.named, known, group.group.partitions, group.store)
        return Request(entities=tuple(entities), force=self.force, rerun_on=self.rerun_on)


ids_option = click.option(
    "--from-file", type=click.File(), metavar="FILE", help="Entity ids, one a line; - is stdin."
)


def asking_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments and options that name entities; the function gets `asked`.

    Raises:
        UsageError: entities are named in two ways.
        ConfigError: the file holds none.
    """

    @click.argument("entities", nargs=-1)
    @click.option(
        "--entities",
        "state",
        type=click.Choice(STATES),
        help="Instead of naming them: those with an asset in this state. Default: all.",
    )
    @ids_option
    @click.option("--force", is_flag=True, help="Compute even what is up to date.")
    @click.option(
        "--rerun-on",
        type=click.Choice([*(reason.value for reason in RerunOn), "nothing"]),
        multiple=True,
        help="Changes that make finished work stale. Default: both.",
    )
    @functools.wraps(function)
    def command(
        *,
        entities: tuple[str, ...],
        state: str | None,
        from_file: TextIO | None,
        force: bool,
        rerun_on: tuple[str, ...],
        **options: object,
    ) -> object:
        named = [*entities, *(read_ids(from_file) if from_file else [])]
        if state and (entities or from_file):
            raise click.UsageError(
                "--entities stands instead of ids and --from-file, not with them"
            )
        if from_file and not named:
            raise ConfigError("there is no id in it", where=from_file.name, fix="one id a line")
        reasons = frozenset(RerunOn(reason) for reason in rerun_on if reason != "nothing")
        asked = Asked(
            named=list(dict.fromkeys(named)) or None,
            state=state or ALL,
            force=force,
            rerun_on=reasons if rerun_on else frozenset(RerunOn),
        )
        return function(asked=asked, **options)

    return command


def named_ids(ids: Sequence[str], file: TextIO | None) -> list[str]:
    """The ids of the command line and of a file, each once.

    Raises:
        UsageError: there are none.
        ConfigError: the file is not UTF-8 text.
    """
    named: list[str] = [*ids, *(read_ids(file) if file else [])]
    given = list(dict.fromkeys(named))
    if not given:
        raise click.UsageError("no ids; name them or use --from-file")
    return given


def read_ids(file: TextIO) -> list[str]:
    """The ids of a file, one a line, as they stand there; empty lines count for nothing.

    Raises:
        ConfigError: it is not UTF-8 text.
    """
    try:
        return [line.rstrip("\r\n") for line in file if line.strip("\r\n")]
    except UnicodeDecodeError as error:
        raise ConfigError("it is not UTF-8 text", where=file.name, fix="one id a line") from error


def planned(project: Project, group: ProjectGroup, asked: Asked) -> tuple[Gathered, Plan]:
    """What a run would find and decide now; nothing is written.

    Raises:
        ConfigError: an entity is not in the catalogue, or the store cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    request = asked.request(project, group)
    gathered = gather(
        group.group,
        request,
        group.selected,
        ledger=project.ledger,
        store=group.store,
        partitioned=group.partitioned,
        in_flight=held_by_others(group.store, group.keys, request.entities),
    )
    if asked.named is None and asked.state != ALL:
        gathered = gathered.in_state(State(asked.state), group.group)
    return gathered, gathered.plan(group.group)
