"""A catalogue as `klio view` shows it: pages of entities, one entity, its outputs. Read only."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Condition, Event
from typing import Any, Protocol

import numpy as np

from klio_dagster.codecs.registry import codec_from_json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.ids import id_problem
from klio_dagster.core.record import Attempt
from klio_dagster.errors import KlioError, ObjectNotFoundError, StoreUnavailableError
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.ledger.provenance import DATA_VERSION
from klio_dagster.observe.view_entity import asset_of_page, asset_of_row
from klio_dagster.observe.view_index import (
    Index,
    Stand,
    with_failures,
    with_numbers,
    with_states,
)
from klio_dagster.observe.view_query import Query
from klio_dagster.store.layout import output_path
from klio_dagster.store.store import Store

_LOOKED_EVERY_S = 3.0
_REST = 5  # so many times as long as reading took, nothing is read anew
_PATIENCE_S = 300.0
_SEE = "see what the page lists"


@dataclass(frozen=True, slots=True)
class ViewedAsset:
    """An asset of the catalogue.

    Args:
        key: asset key.
        asset: what the user declared.
        store: where its outputs lie.
    """

    key: str
    asset: EntityAsset
    store: Store


@dataclass(frozen=True, slots=True)
class Output:
    """A recorded output: the only thing of a store that can be fetched.

    Args:
        store: where it lies.
        path: in the store.
        version: hash of its bytes, as the ledger has it.
        codec: name of the codec that wrote it.
    """

    store: Store
    path: str
    version: str
    codec: str


class Source(Protocol):
    """What is read in bulk, by one thread beside those that answer requests."""

    @property
    def ledger(self) -> Ledger:
        """Dagster's log, of a connection of its own: to read all of it takes seconds."""
        ...

    def entities(self) -> Sequence[str]:
        """The ids of the catalogue."""
        ...

    def stands(self) -> Iterator[Stand]:
        """Where every (asset, entity) stands."""
        ...


class View:
    """A catalogue. Threads may share it; one of them calls `keep_fresh`.

    Args:
        catalogue: name of the dynamic partitions definition.
        assets: upstream first.
        source: what is read in bulk.
        ledger: Dagster's log, for what one request asks.
        explained: an entity to what a run would do with each asset, and why.
    """

    def __init__(
        self,
        catalogue: str,
        assets: Sequence[ViewedAsset],
        *,
        source: Source,
        ledger: Ledger,
        explained: Callable[[str], Sequence[Mapping[str, Any]]],
    ) -> None:
        self.catalogue = catalogue
        self._where = f"catalogue '{catalogue}'"
        self.assets = {each.key: each for each in assets}
        self._source = source
        self._ledger = ledger
        self._explained = explained
        self._index = Index(entities=())
        self._position = (-1, -1)
        self._number = 0
        self._read_at = 0.0
        self._problem: str | None = None
        self._changed = Condition()

    def keep_fresh(self, stop: Event) -> None:
        """Read all, and again when events were written, until told to stop."""
        rest_s = 0.0
        while not stop.wait(rest_s):
            rest_s = _LOOKED_EVERY_S
            try:
                position = self._newest()
                if position != self._position or self._problem:
                    started = time.monotonic()
                    self.read()
                    rest_s = max(rest_s, _REST * (time.monotonic() - started))
                    self._position = position
            except KlioError as error:
                self._publish(self._index, problem=str(error))
            except Exception as error:  # noqa: BLE001 - or the page would wait for a dead thread
                if not stop.is_set():
                    what = f"unexpected {type(error).__name__}: {error}"
                    self._publish(self._index, problem=what)

    def read(self) -> None:
        """Read the state and the numbers of all entities; each is used as soon as it is there.

        Raises:
            ConfigError: the store cannot be listed.
            StoreUnavailableError: the store did not answer.
            LedgerError: Dagster's log cannot be read.
        """
        keys, before = list(self.assets), self._index
        index = Index(entities=tuple(sorted(self._source.entities())))
        if not before.entities:
            self._publish(index)
        index = with_states(index, keys, self._source.stands())
        ledger = self._source.ledger
        failed = ((key, index.failed_of(key)) for key in keys)
        pairs = [pair for key, entities in failed for pair in ledger.failures([key], entities)]
        index = with_failures(index, pairs)
        if before.numbers is None:
            self._publish(index)
        numbers = ((key, ledger.latest_numbers(key)) for key in keys)
        self._publish(with_numbers(index, numbers))

    def summary(self) -> dict[str, Any]:
        """What holds for the whole catalogue, and how much of it is known by now."""
        index = self._index
        return {
            "catalogue": self.catalogue,
            "entities": len(index.entities),
            "assets": [
                {"key": each.key, "codec": each.asset.output.name, "about": each.asset.description}
                for each in self.assets.values()
            ],
            "counts": index.counts(),
            "failed": int(index.is_failed().sum()),
            "numbers": list(index.numbers or ()),
            "is_known": index.numbers is not None,
            "problem": self._problem,
            "number": self._number,
            "read_at": self._read_at,
        }

    def page(self, query: Query) -> dict[str, Any]:
        """The entities a query asks for, with how many there are in all.

        Raises:
            ConfigError: the query names something that is not there.
            StoreUnavailableError: what it needs could not be read.
            LedgerError: Dagster's log cannot be read.
        """
        index = self._known(states=query.needs_states, numbers=query.needs_numbers)
        rows = index.matching(query)
        shown = rows[query.offset : query.offset + query.limit].tolist()
        entities = [index.entities[row] for row in shown]
        attempts = {key: self._ledger.attempts(key, entities) for key in self.assets}
        return {
            "matching": len(rows),
            "offset": query.offset,
            "number": self._number,
            "rows": [
                {
                    "entity": entity,
                    "assets": {
                        key: asset_of_row(found.get(entity, ()), is_stale=index.is_stale(key, row))
                        for key, found in attempts.items()
                    },
                }
                for row, entity in zip(shown, entities, strict=True)
            ],
        }

    def next_failed(self, query: Query, entity: str, *, back: bool) -> dict[str, Any]:
        """The failed entity that comes after this one in a query's answer, round its end.

        Raises:
            ConfigError: the query names something that is not there.
            StoreUnavailableError: what it needs could not be read.
        """
        index = self._known(states=True, numbers=query.needs_numbers)
        rows = index.matching(query)
        places = np.flatnonzero(index.is_failed()[rows])
        if not len(places):
            return {"entity": None, "offset": 0}
        here = np.flatnonzero(rows == index.row_of(entity))
        place = int(here[0]) if len(here) else -1
        others = places[places < place][::-1] if back else places[places > place]
        found = int(others[0] if len(others) else places[-1 if back else 0])
        return {"entity": index.entities[rows[found]], "offset": found}

    def entity(self, entity: str) -> dict[str, Any]:
        """All that is known of one entity.

        Raises:
            ObjectNotFoundError: the catalogue has no such entity.
            LedgerError: Dagster's log cannot be read.
        """
        index = self._index
        row = index.row_of(entity)
        attempts = {key: self._attempts(key, entity) for key in self.assets}
        if row is None and not any(attempts.values()):
            raise ObjectNotFoundError(f"no entity {entity!r} in it", self._where, _SEE)
        return {
            "entity": entity,
            "assets": [
                {"asset": key, **asset_of_page(found, is_stale=index.is_stale(key, row))}
                for key, found in attempts.items()
            ],
        }

    def explained(self, entity: str) -> list[dict[str, Any]]:
        """What a run would do with each asset of an entity, and why.

        Raises:
            ConfigError: the catalogue has no such entity, or the store cannot be listed.
            StoreUnavailableError: the store did not answer.
            LedgerError: Dagster's log cannot be read.
        """
        return [dict(each) for each in self._explained(entity)]

    def output(self, key: str, entity: str) -> Output:
        """A recorded output.

        Where it lies follows from the asset, the id and the codec. The uri of the record is not
        used: whoever can report a materialisation in Dagster's UI could write any path there.

        Raises:
            ObjectNotFoundError: the ledger has no such output.
            ConfigError: this version does not know the codec that wrote it.
            LedgerError: Dagster's log cannot be read.
        """
        viewed = self.assets.get(key)
        if viewed is None:
            raise ObjectNotFoundError(f"no asset {key!r} in it", self._where, _SEE)
        for attempt in self._attempts(key, entity):
            codec = attempt.metadata.get("codec")
            if attempt.failure is None and isinstance(codec, Mapping):
                made_by = codec_from_json(codec)
                return Output(
                    viewed.store,
                    output_path(key, entity, made_by.suffix),
                    attempt.tags.get(DATA_VERSION, ""),
                    made_by.name,
                )
        raise ObjectNotFoundError(
            f"no output of {entity!r} is recorded", where=f"asset '{key}'", fix=_SEE
        )

    def _attempts(self, key: str, entity: str) -> Sequence[Attempt]:
        if id_problem(entity) is not None:  # a database does not even take all of them
            return ()
        return self._ledger.attempts(key, [entity]).get(entity, ())

    def _known(self, *, states: bool, numbers: bool) -> Index:
        """The index once it says what is needed.

        Raises:
            StoreUnavailableError: it could not be read.
        """

        def is_known() -> bool:
            index = self._index
            if self._problem:
                return True
            return (not states or index.times is not None) and (
                not numbers or index.numbers is not None
            )

        with self._changed:
            in_time = self._changed.wait_for(is_known, _PATIENCE_S)
            index = self._index
        if not in_time or (self._problem and index.numbers is None):
            raise StoreUnavailableError(
                self._problem or "its ledger is still being read",
                where=self._where,
                fix="try again",
            )
        return index

    def _newest(self) -> tuple[int, int]:
        """What changes with every event and every new entity."""
        newest = self._source.ledger.newest_event(list(self.assets))
        return newest, len(self._source.entities())

    def _publish(self, index: Index, problem: str | None = None) -> None:
        with self._changed:
            self._index = index
            self._problem = problem
            self._number += 1
            self._read_at = time.time()
            self._changed.notify_all()
