"""`Request`: who asks for which entities, and what they want done."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from klio_dagster.errors import ConfigError


class RerunOn(StrEnum):
    """A change that makes finished work stale."""

    CODE = "code_changed"
    INPUT = "input_changed"


ALL_CHANGES = frozenset(RerunOn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Entities asked for.

    Args:
        entities: entity ids, each once.
        force: compute the selected assets of every entity even where they are up to date.
        forced: the same for these entities only, as their messages ask.
        pinged: entities that are only passed on, never computed.
        rerun_on: which changes make finished work stale.
        may_ask_upstream: entities whose missing input may be asked for at the job that makes it:
            those with a message that can wait for it.

    Raises:
        ConfigError: an entity stands in it twice.
    """

    entities: Sequence[str]
    force: bool = False
    forced: frozenset[str] = frozenset()
    pinged: frozenset[str] = frozenset()
    rerun_on: frozenset[RerunOn] = ALL_CHANGES
    may_ask_upstream: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if len(set(self.entities)) < len(self.entities):
            raise ConfigError(
                "an entity is asked for twice", where="request", fix="name each entity once"
            )
