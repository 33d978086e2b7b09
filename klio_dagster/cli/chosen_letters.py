"""Which dead letters a command is about: those named, or those of a group, reason or entity."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from klio_dagster.cli.project import Project
from klio_dagster.core.wording import did_you_mean
from klio_dagster.errors import ConfigError
from klio_dagster.store.dead_letter import DeadLetter
from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import Unreadable, kept, listed, read
from klio_dagster.streaming.finding import find

Found = Iterable[tuple[Store, DeadLetter | Unreadable]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which dead letters a command is about.

    Args:
        group: only its.
        reason: only those given up for it.
        entity: only its.
    """

    group: str | None
    reason: str | None
    entity: str | None

    def has(self, found: DeadLetter | Unreadable) -> bool:
        """Whether this is one of them; of what cannot be read only its group is known."""
        match found:
            case DeadLetter():
                return self.reason in (None, found.reason) and self.entity in (None, found.entity)
            case Unreadable():
                return self.reason is None and self.entity is None

    def among(self, stores: Iterable[Store]) -> Found:
        """Those of them that are kept, each read when it is its turn."""
        for store in stores:
            yield from ((store, each) for each in listed(store, self.group) if self.has(each))

    def check_group(self, project: Project) -> None:
        """Refuse a group that is neither in the project nor has dead letters.

        Raises:
            ConfigError: it is probably misspelt.
        """
        known = {each.group.name for each in project.groups}
        if self.group is None or self.group in known:
            return
        known |= {each.folder for store in project.stores for each in kept(store)}
        if self.group not in known:
            raise ConfigError(
                "the project has no such group",
                where=f"--group {self.group}",
                fix=did_you_mean(self.group, known) or f"there are: {', '.join(sorted(known))}",
            )


def choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose dead letters; the function gets `choice`."""

    @click.option("--group", metavar="GROUP", help="Only those of this group of assets.")
    @click.option("--reason", metavar="REASON", help="Only those given up for this reason.")
    @click.option("--entity", metavar="ENTITY", help="Only those of this entity.")
    @functools.wraps(function)
    def command(
        *, group: str | None, reason: str | None, entity: str | None, **options: object
    ) -> object:
        return function(choice=Choice(group=group, reason=reason, entity=entity), **options)

    return command


def check_chosen(ids: Sequence[str], choice: Choice, *, is_all: bool) -> None:
    """Refuse a command line that names none, or names them in two ways.

    Raises:
        UsageError: it does.
    """
    is_chosen = is_all or choice.reason is not None or choice.entity is not None
    if ids and is_chosen:
        raise click.UsageError("--all, --reason and --entity stand instead of ids, not with them")
    if not ids and not is_chosen:
        raise click.UsageError("no ids; name them or use --all, --reason or --entity")


def named(
    project: Project, ids: Sequence[str], choice: Choice
) -> Iterator[tuple[Store, DeadLetter | Unreadable]]:
    """The dead letters of these ids, or of their beginnings; none is read before all are found.

    Raises:
        ConfigError: none has one of the ids, or several have.
    """
    owners = {each: store for store in project.stores for each in kept(store, choice.group)}
    for place in find(sorted(owners), ids):
        yield from ((owners[place], each) for each in read(owners[place], [place]))
