"""What the page of `klio view` asks for, read from the query string of a request."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from klio_dagster.errors import ConfigError
from klio_dagster.ledger.read import is_number

MOST_ROWS = 200  # of a page: each brings its thumbnails
STATES = ("materialized", "failed", "blocked", "missing", "stale")
BY_ENTITY, BY_STATE, BY_TIME = "entity", "state", "time"

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {">": gt, ">=": ge, "<": lt, "<=": le}


@dataclass(frozen=True, slots=True)
class Bound:
    """A condition on a number: `recording.duration_s > 30`.

    Args:
        field: asset key, a dot, name of the metadata.
        comparison: one of `COMPARISONS`.
        value: finite.
    """

    field: str
    comparison: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which entities, in which order, and which part of them.

    Args:
        text: part of the id or of an error, whatever its case; empty: any.
        state: one of `STATES`, of any asset or of `asset`; empty: any. As everywhere, failed ones
            include the blocked ones, and materialised ones the stale.
        asset: key of the asset that the state is about; empty: any.
        bounds: all of them must hold; an entity without the number is left out.
        sort: `entity`, `state` (failed first), `time` (last attempt first), or a field, those
            without it last.
        descending: the other way round.
        offset: how many to leave out.
        limit: how many to show, at most `MOST_ROWS`.
    """

    text: str = ""
    state: str = ""
    asset: str = ""
    bounds: tuple[Bound, ...] = ()
    sort: str = BY_ENTITY
    descending: bool = False
    offset: int = 0
    limit: int = 50

    @property
    def needs_states(self) -> bool:
        """It cannot be answered before the state of every entity is known."""
        return bool(self.state or self.sort in {BY_STATE, BY_TIME})

    @property
    def needs_numbers(self) -> bool:
        """It cannot be answered before the numbers of every entity are known."""
        return bool(self.bounds) or self.sort not in {BY_ENTITY, BY_STATE, BY_TIME}

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> "Query":
        """The query of a request.

        Raises:
            ConfigError: something of it cannot be understood.
        """
        state = given.get("state", "")
        if state and state not in STATES:
            raise ConfigError(
                f"there is no state {state!r}", where="state", fix=f"use one of {', '.join(STATES)}"
            )
        return cls(
            text=given.get("text", ""),
            state=state,
            asset=given.get("asset", ""),
            bounds=_bounds(given.get("where", "[]")),
            sort=given.get("sort") or BY_ENTITY,
            descending=given.get("descending", "") == "1",
            offset=_whole(given, "offset", 0),
            limit=min(_whole(given, "limit", 50), MOST_ROWS),
        )


def _whole(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ConfigError(f"{text!r} is not a number", where=name, fix="use 0, 1, 2, ...")
    return int(text)


def _bounds(text: str) -> tuple[Bound, ...]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise _no_bounds(text)
    return tuple(_bound(each, text) for each in given)


def _bound(given: object, text: str) -> Bound:
    match given:
        case [str(field), str(comparison), int() | float() as value] if (
            comparison in COMPARISONS and not isinstance(value, bool) and is_number(value)
        ):
            return Bound(field, comparison, float(value))
        case _:
            raise _no_bounds(text)


def _no_bounds(text: str) -> ConfigError:
    return ConfigError(
        f"{text[:200]!r} is no list of conditions",
        where="where",
        fix='write [["recording.duration_s", ">", 30]]',
    )
