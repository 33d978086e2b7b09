"""`take_down`: entities leave the store, the ledger and the catalogue, and never come back."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from klio_dagster.errors import EntitiesInFlightError
from klio_dagster.ledger.in_flight import in_flight
from klio_dagster.ledger.internals import removal
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.ledger.resume import fold_dead_runs
from klio_dagster.store.claims import ClaimState
from klio_dagster.store.removed import bury, removed_entities
from klio_dagster.store.scrub import scrub, scrub_messages
from klio_dagster.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A store, and what of the entities may lie in it.

    Args:
        store: of outputs and receipts.
        keys: of the entity assets whose outputs lie there.
        outputs: paths where an output of one of the entities may lie; none where they stay.
    """

    store: Store
    keys: Sequence[str]
    outputs: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Takedown:
    """Entities, and every place that may name them.

    Args:
        entities: checked ids, each once.
        places: the stores of the project.
        catalogues: name of each catalogue to the keys of all assets with its partitions.
    """

    entities: Sequence[str]
    places: Sequence[Place]
    catalogues: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What names the entities now.

    Args:
        outputs: location of each output to its size in bytes.
        lines: location of each of our files in a store to how many of its lines.
        messages: location of each object with messages that are kept, to how many of them.
        events: asset key to how many events of the ledger.
        partitions: catalogue to how many of the entities are in it.
        removed: how many of the entities have a tombstone in every store.
        computing: the live run that works on one of them, None where there is none.
    """

    outputs: Mapping[str, int]
    lines: Mapping[str, int]
    messages: Mapping[str, int]
    events: Mapping[str, int]
    partitions: Mapping[str, int]
    removed: int
    computing: ClaimState | None


def take_down(
    takedown: Takedown, ledger: Ledger, instance: dg.DagsterInstance, *, at: float
) -> None:
    """Remove every trace of the entities but their tombstones.

    A kill between any two lines is completed by calling again.

    Args:
        takedown: who goes, and from where.
        ledger: Dagster's log.
        instance: Dagster's.
        at: the time, in seconds since 1970.

    Raises:
        EntitiesInFlightError: a live run computes one of them.
        StoreUnavailableError: a store did not answer.
        LedgerError: Dagster's log cannot be written.
    """
    _refuse_while_computed(takedown)  # nothing is written yet
    for place in takedown.places:
        bury(place.store, takedown.entities, at)  # no run that plans from here on computes them
    for place in takedown.places:
        fold_dead_runs(place.store, ledger, instance)  # or the next run would record them later
    _refuse_while_computed(takedown)  # a run that planned before it could see the tombstones
    for place in takedown.places:
        place.store.delete_many(place.outputs)
        scrub_messages(place.store, takedown.entities, write=True)
        scrub(place.store, takedown.entities, write=True)
    for catalogue, keys in takedown.catalogues.items():
        ledger.forget(keys, takedown.entities)
        # Last: as long as it is there, a person sees that something is left to do.
        removal.forget_partitions(instance, catalogue, takedown.entities)


def traces(takedown: Takedown, ledger: Ledger, instance: dg.DagsterInstance) -> Traces:
    """What `take_down` would remove; nothing is written.

    Raises:
        StoreUnavailableError: a store did not answer.
        LedgerError: Dagster's log cannot be read.
    """
    entities = frozenset(takedown.entities)
    events: dict[str, int] = {}
    partitions: dict[str, int] = {}
    for catalogue, keys in takedown.catalogues.items():
        events |= ledger.traces(keys, takedown.entities)
        partitions[catalogue] = len(
            entities.intersection(instance.get_dynamic_partitions(catalogue))
        )
    buried = [removed_entities(place.store) for place in takedown.places]
    return Traces(
        outputs={
            place.store.uri(path): place.store.head(path).size
            for place in takedown.places
            for path in place.outputs
            if place.store.exists(path)
        },
        lines=_found(takedown.places, entities, scrub),
        messages=_found(takedown.places, entities, scrub_messages),
        events=events,
        partitions=partitions,
        removed=len(entities.intersection(*buried)) if buried else 0,
        computing=next(_computing(takedown.places, entities), None),
    )


def _found(
    places: Sequence[Place], entities: Collection[str], look: Callable[..., Mapping[str, int]]
) -> Mapping[str, int]:
    """What one way of looking finds, by location."""
    return {
        place.store.uri(path): number
        for place in places
        for path, number in look(place.store, entities, write=False).items()
    }


def _refuse_while_computed(takedown: Takedown) -> None:
    """Stop while a live run works on one of the entities; it would record it again.

    Raises:
        EntitiesInFlightError: one does.
    """
    for state in _computing(takedown.places, frozenset(takedown.entities)):
        raise EntitiesInFlightError(
            f"it is computing one of the entities to remove ({state.why})",
            where=f"run {state.claim.run_id}",
            fix="wait for it to end, or terminate it, then call again",
        )


def _computing(places: Sequence[Place], entities: Collection[str]) -> Iterator[ClaimState]:
    """Live claims that hold one of the entities, or finished one and may not have recorded it."""
    for place in places:
        held = in_flight(place.store, place.keys, entities)
        yield from (state for (_, entity), state in held.pairs.items() if entity in entities)
        states = {state.claim.work_id: state for state in held.claims}
        yield from (states[r.run] for r in held.receipts if r.entity in entities)
