"""`KlioRunConfig`: what a run may be told in its run config."""

from collections.abc import Collection
from typing import Any

import dagster as dg
from pydantic import Field, field_validator

from klio_dagster.core.request import RerunOn
from klio_dagster.core.state import STATES
from klio_dagster.errors import ConfigError


def rerun_reasons(given: Collection[str], where: str) -> frozenset[RerunOn]:
    """The changes that make finished work stale.

    Raises:
        ConfigError: there is no such change.
    """
    known = {reason.value for reason in RerunOn}
    unknown = sorted(set(given) - known)
    if unknown:
        # Not a ValueError, of which pydantic would make several lines.
        raise ConfigError(
            f"unknown reason {unknown[0]!r} in rerun_on",
            where=where,
            fix=f"use {', '.join(sorted(known))}",
        )
    return frozenset(RerunOn(reason) for reason in given)


class KlioRunConfig(dg.Config):
    """Options of one run of a group of entity assets."""

    force: bool = Field(
        default=False, description="Compute the selected assets even where they are up to date."
    )
    rerun_on: list[str] = Field(
        default=[reason.value for reason in RerunOn],
        description="Changes that make finished work stale: code_changed, input_changed.",
    )
    entities: Any = Field(
        default=None,
        description="Entity ids (a list), or all, missing, failed or stale. "
        "Not needed in a run of partitions.",
    )
    manifest: str | None = Field(
        default=None,
        description="Path in the store of a JSON-lines file of entities, for many of them.",
    )
    max_wait_s: float = Field(
        default=900.0,
        ge=0.0,
        description="How long to wait for entities that another run is computing, in seconds, "
        "once all else is recorded.",
    )
    allow_new_ledger: bool = Field(
        default=False,
        description="Go on in a store that another Dagster instance has recorded, or that lacks "
        "the outputs.",
    )

    @field_validator("rerun_on")
    @classmethod
    def _known_reasons(cls, value: list[str]) -> list[str]:
        rerun_reasons(value, where="run config")
        return value

    def checked_entities(self) -> list[str] | str | None:
        """The entities asked for: ids, a state, or None when the run config names none.

        Raises:
            ConfigError: it is neither a list of ids nor a state.
        """
        match self.entities:
            case None:
                return None
            case str(state) if state in STATES:
                return state
            case [*ids] if all(isinstance(entity, str) for entity in ids):
                return list(dict.fromkeys(ids))
            case other:
                raise ConfigError(
                    f"entities is {other!r}",
                    where="run config",
                    fix=f"use a list of ids, or one of {', '.join(STATES)}",
                )
