"""What a plan is made from, gathered in bulk: ledger records, source listings, live claims."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from klio_dagster.core.ids import id_problem
from klio_dagster.core.manifest import Outside
from klio_dagster.core.plan import Knowledge, Plan, plan
from klio_dagster.core.record import Records
from klio_dagster.core.request import Request
from klio_dagster.core.state import State, entities_in
from klio_dagster.defs.group import EntityGroup
from klio_dagster.ledger.in_flight import (
    InFlight,
    finished_receipts,
    in_flight,
    seen_by,
    with_receipts,
)
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.claims import read_claims
from klio_dagster.store.removed import removed_entities
from klio_dagster.store.source_lookup import FEW, can_look_up, look_up_sources
from klio_dagster.store.sources import SourceListing, SourcePattern, list_sources
from klio_dagster.store.store import Store
from klio_dagster.store.url import is_absolute


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What is known of the entities asked for.

    Args:
        request: who was asked for.
        selected: names of the assets that may run, upstream first.
        knowledge: what the plan is made from.
        listings: source pattern to what its one listing found.
        outside: key path of an outside entity asset to entity to where its output lies; None
            where its record does not say.
        in_flight: what live runs hold.
    """

    request: Request
    selected: tuple[str, ...]
    knowledge: Knowledge
    listings: Mapping[str, SourceListing]
    outside: Mapping[str, Mapping[str, Outside | None]]
    in_flight: InFlight

    def only(self, entities: Sequence[str]) -> "Gathered":
        """The same knowledge, for some of the entities asked for."""
        return replace(self, request=replace(self.request, entities=tuple(entities)))

    def in_state(self, state: State, group: EntityGroup) -> "Gathered":
        """The same knowledge, for those of the entities asked for that are in a state."""
        # Who forces what is stale does not mean that everything is stale because it is forced.
        unforced = replace(self.request, force=False, forced=frozenset[str]())
        found = plan(unforced, group.chain, self.selected, self.knowledge)
        return self.only(entities_in(state, found, self.knowledge.records))

    def plan(self, group: EntityGroup) -> Plan:
        """The plan for the request."""
        return plan(self.request, group.chain, self.selected, self.knowledge)


def gather(
    group: EntityGroup,
    request: Request,
    selected: Collection[str],
    *,
    ledger: Ledger,
    store: Store,
    partitioned: Collection[str],
    in_flight: InFlight,
    listings: Mapping[str, SourceListing] | None = None,
    whole: bool = False,
) -> Gathered:
    """Read what the plan needs, in a few bulk reads however many entities there are.

    Args:
        group: the group of entity assets.
        request: who is asked for.
        selected: names of the assets that may run.
        ledger: Dagster's log.
        store: where sources, claims and outputs lie.
        partitioned: keys of the outside assets that have the group's partitions.
        in_flight: what live runs hold of these assets.
        listings: of the selected assets' sources, where somebody made them already.
        whole: what lies beside the sources of few entities is wanted, too.

    Raises:
        ConfigError: the store cannot be listed.
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be read.
    """
    chain = group.chain
    names = tuple(asset.name for asset in chain.assets if asset.name in selected)
    inputs = [chain.inputs(name) for name in names]
    outside = dict.fromkeys(key for each in inputs for key in each.outside)
    read = dict.fromkeys([*names, *(dep for each in inputs for dep in each.assets)])
    entity_deps = [key for key in outside if key in partitioned]
    with ThreadPoolExecutor(1) as beside:
        # A bucket is waited for while it is listed: the ledger is read meanwhile. What another run
        # makes in between is no trouble: its claim ends, and then all is gathered anew.
        is_whole = whole or len(request.entities) > FEW
        is_begun = listings is None and is_whole and store.local_path("") is None
        begun = beside.submit(listings_of, group, names, store) if is_begun else None
        removed = removed_entities(store)
        # A refused id is never looked up: a database does not even take all of them.
        entities = [e for e in request.entities if id_problem(e) is None and e not in removed]
        records = ledger.records([*(group.keys[name] for name in read), *entity_deps], entities)
    records = dict(with_receipts(records, in_flight.receipts, in_flight.seen))
    stored = {key: _stored(ledger, key, entities) for key in entity_deps}
    for key, known in stored.items():
        records[key] = {e: record for e, record in records[key].items() if known.get(e)}
    if begun is not None:
        listings = begun.result()
    elif listings is None:
        asked = entities if len(entities) <= FEW and not whole else None
        listings = listings_of(group, names, store, asked)
    return Gathered(
        request=request,
        selected=names,
        listings=listings,
        outside=stored,
        in_flight=in_flight,
        knowledge=Knowledge(
            records=_by_name(records, group, [*read, *entity_deps]),
            code_versions=group.code_versions,
            sources={
                pattern: {
                    e: found.version for e, found in listing.matches.items() if e not in removed
                }
                for pattern, listing in listings.items()
            },
            shared_versions={
                key: ledger.unpartitioned_version(key) for key in outside if key not in partitioned
            },
            keys=group.keys,
            in_flight={
                (name, entity)
                for name in names
                for key, entity in in_flight.pairs
                if key == group.keys[name]
            },
            removed=removed,
        ),
    )


def held_by_others(store: Store, keys: Collection[str], entities: Sequence[str]) -> InFlight:
    """What live runs hold, and what dead ones finished, which the next run records first.

    For those who plan without running.

    Raises:
        ConfigError: a claim cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    held = in_flight(store, keys, entities)
    dead = seen_by(state for state in read_claims(store) if not state.is_alive)
    finished = [receipt for work in dead for receipt in finished_receipts(store, work)]
    return replace(held, receipts=[*held.receipts, *finished], seen={**held.seen, **dead})


def listings_of(
    group: EntityGroup,
    names: Collection[str],
    store: Store,
    entities: Sequence[str] | None = None,
) -> dict[str, SourceListing]:
    """What lies where the sources of these assets should, by pattern.

    Args:
        group: the group.
        names: of its assets.
        store: where sources lie.
        entities: the only ones whose sources are wanted; None: everything that lies there.

    Raises:
        ConfigError: the store cannot be listed.
        StoreUnavailableError: the store did not answer.
    """
    patterns = (pattern for name in names for pattern in group.chain.inputs(name).sources)
    beside = [SourcePattern.parse(pattern) for pattern in group.sources]
    listings: dict[str, SourceListing] = {}
    for text in dict.fromkeys(patterns):
        pattern = SourcePattern.parse(text)
        if entities is not None and can_look_up(pattern, store):
            listings[text] = look_up_sources(pattern, store, entities)
        else:
            listings[text] = list_sources(pattern, store, beside)
    return listings


def _by_name(records: Records, group: EntityGroup, names: Sequence[str]) -> Records:
    return {name: records.get(group.keys.get(name, name), {}) for name in names}


def _stored(ledger: Ledger, key: str, entities: Sequence[str]) -> dict[str, Outside | None]:
    """Where the outputs of another group lie, as its materialisations say.

    What people report by hand, in the UI for instance, does not say it; nor does a relative uri,
    because nobody knows what it is relative to.
    """
    found: dict[str, Outside | None] = {}
    for entity, metadata in ledger.latest_metadata(key, entities).items():
        match metadata:
            case {"uri": str(uri), "codec": dict(codec)} if is_absolute(uri):
                found[entity] = Outside(uri=uri, codec=codec)
            case _:
                found[entity] = None
    return found
