"""All entities of a catalogue in columns: filtered and sorted in milliseconds, without any I/O.

A column is an array with a place for each entity, in the order of their ids; 100,000 entities with
three assets and a dozen numbers take some 15 MB.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from klio_dagster.core.receipt import UPSTREAM_FAILED
from klio_dagster.core.record import FailedPair
from klio_dagster.core.state import State
from klio_dagster.errors import ConfigError
from klio_dagster.observe.view_query import BY_ENTITY, BY_STATE, BY_TIME, COMPARISONS, Query

BLOCKED = "blocked"
# The worst last: sorted by state, trouble comes first.
CODES = (
    State.MATERIALIZED.value,
    State.STALE.value,
    State.MISSING.value,
    BLOCKED,
    State.FAILED.value,
)
_CODE = {name: code for code, name in enumerate(CODES)}
_MEANT = {  # a state that is asked for, to those that count as it
    "materialized": ("materialized", "stale"),
    "failed": ("failed", BLOCKED),
}

Codes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


class Stand(NamedTuple):
    """Where an (asset, entity) stands, and since when.

    Args:
        asset: asset key.
        entity: entity id.
        state: as `klio status` counts it.
        timestamp: end of the last attempt, seconds since the epoch; 0.0 if there was none.
    """

    asset: str
    entity: str
    state: State
    timestamp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is known of each entity; rows are numbers of `entities`.

    Args:
        entities: ids, sorted.
        states: asset key to a column of places in `CODES`; empty: not known yet.
        times: end of the last attempt at any asset; None: not known yet.
        errors: row to the errors of its failed assets, in small letters.
        numbers: `asset.name` to a column, NaN where there is none; None: not known yet.
    """

    entities: tuple[str, ...]
    states: Mapping[str, Codes] = field(default_factory=dict[str, Codes])
    times: Numbers | None = None
    errors: Mapping[int, str] = field(default_factory=dict[int, str])
    numbers: Mapping[str, Numbers] | None = None

    def matching(self, query: Query) -> Rows:
        """The rows a query asks for, in its order, not cut to its page.

        Raises:
            ConfigError: there is no such asset or number.
        """
        chosen = np.ones(len(self.entities), dtype=np.bool_)
        if query.state:
            chosen &= self._in_state(query.state, query.asset)
        for bound in query.bounds:
            with np.errstate(invalid="ignore"):
                chosen &= COMPARISONS[bound.comparison](self._number(bound.field), bound.value)
        rows = np.flatnonzero(chosen)
        if query.text:
            rows = self._with_text(rows, query.text.casefold())
        return rows[self._order(rows, query.sort, descending=query.descending)]

    def row_of(self, entity: str) -> int | None:
        """The row of an entity; None if the catalogue did not have it when it was read."""
        row = bisect_left(self.entities, entity)
        return row if row < len(self.entities) and self.entities[row] == entity else None

    def is_stale(self, key: str, row: int | None) -> bool:
        """Whether an asset of a row is known to be stale."""
        column = self.states.get(key)
        return column is not None and row is not None and column[row] == _CODE["stale"]

    def failed_of(self, key: str) -> list[str]:
        """The entities whose last attempt at an asset failed."""
        return [
            self.entities[row] for row in np.flatnonzero(self._in_state("failed", key)).tolist()
        ]

    def is_failed(self) -> npt.NDArray[np.bool_]:
        """Whether an asset of the row failed, by itself or because of another."""
        return self._in_state("failed", "")

    def counts(self) -> dict[str, dict[str, int]]:
        """Asset key to state to how many entities; as `klio status`, and `blocked` of failed."""
        return {
            key: {
                state: int(np.isin(column, _codes(state)).sum())
                for state in ("materialized", "failed", BLOCKED, "missing", "stale")
            }
            for key, column in self.states.items()
        }

    def _in_state(self, state: str, asset: str) -> npt.NDArray[np.bool_]:
        if asset and asset not in self.states:
            raise ConfigError(
                f"there is no asset {asset!r}", "asset", f"use one of {', '.join(self.states)}"
            )
        wanted = _codes(state)
        chosen = np.zeros(len(self.entities), dtype=np.bool_)
        for key, column in self.states.items():
            if asset in ("", key):
                chosen |= np.isin(column, wanted)
        return chosen

    def _number(self, name: str) -> Numbers:
        column = (self.numbers or {}).get(name)
        if column is None:
            raise ConfigError(
                f"no entity has the number {name!r}", "number", "use one that the page lists"
            )
        return column

    def _with_text(self, rows: Rows, text: str) -> Rows:
        entities, errors = self.entities, self.errors
        found = [
            row
            for row in rows.tolist()
            if text in entities[row].casefold() or text in errors.get(row, "")
        ]
        return np.array(found, dtype=np.intp)

    def _order(self, rows: Rows, sort: str, *, descending: bool) -> Rows:
        """How to order these rows, which come by id; equals stay so, what has no number is last."""
        if sort == BY_ENTITY:
            order = np.arange(len(rows))
            return order[::-1] if descending else order
        sign = -1.0 if descending else 1.0
        if sort == BY_STATE:
            worst = np.zeros(len(self.entities))
            for column in self.states.values():
                worst = np.maximum(worst, column)
            return np.argsort(-sign * worst[rows], kind="stable")
        if sort == BY_TIME:
            times = np.zeros(len(self.entities)) if self.times is None else self.times
            return np.argsort(-sign * times[rows], kind="stable")
        return np.argsort(sign * self._number(sort)[rows], kind="stable")


def with_states(index: Index, keys: Sequence[str], stands: Iterable[Stand]) -> Index:
    """The index with the state of every asset; what no stand tells of is missing."""
    row_of = {entity: row for row, entity in enumerate(index.entities)}
    missing = _CODE[State.MISSING.value]
    states = {key: np.full(len(row_of), missing, dtype=np.uint8) for key in keys}
    times = np.zeros(len(row_of))
    for key, entity, state, timestamp in stands:
        row = row_of.get(entity)
        if row is not None:
            states[key][row] = _CODE[state.value]
            times[row] = max(times[row], timestamp)
    return replace(index, states=states, times=times)


def with_failures(index: Index, failures: Iterable[FailedPair]) -> Index:
    """The index with the errors, and with blocked ones told from those that failed themselves."""
    row_of = {entity: row for row, entity in enumerate(index.entities)}
    states = {key: column.copy() for key, column in index.states.items()}
    errors: dict[int, str] = {}
    for failed in failures:
        row = row_of.get(failed.entity)
        if row is None:
            continue
        if failed.kind == UPSTREAM_FAILED:
            states[failed.asset][row] = _CODE[BLOCKED]
        else:
            errors[row] = f"{errors.get(row, '')}\n{failed.error.casefold()}"
    return replace(index, states=states, errors=errors)


def with_numbers(
    index: Index, numbers: Iterable[tuple[str, Mapping[str, Mapping[str, float]]]]
) -> Index:
    """The index with the numbers of each asset: key, and entity to name to number."""
    row_of = {entity: row for row, entity in enumerate(index.entities)}
    columns: dict[str, Numbers] = {}
    for key, by_entity in numbers:
        for entity, named in by_entity.items():
            row = row_of.get(entity)
            for name, value in named.items() if row is not None else ():
                column = columns.get(f"{key}.{name}")
                if column is None:
                    column = columns[f"{key}.{name}"] = np.full(len(row_of), np.nan)
                column[row] = value
    return replace(index, numbers=columns)


def _codes(state: str) -> list[int]:
    return [_CODE[name] for name in _MEANT.get(state, (state,))]
