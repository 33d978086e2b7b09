"""The status of a whole catalogue: entities of which the plan knows the same are planned once.

A plan depends on what is known of an entity and not on its name. So 100,000 entities that are up to
date, and as many that are stale in the same way, are each one entity to plan. What is known of an
entity is reduced to a number, its signature, from the text of its tags; a record for each would
take five times as long.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from klio_dagster.core.request import Request
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.knowledge import gather, listings_of
from klio_dagster.ledger.in_flight import InFlight
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.ledger.stamps import Stamps, code_stamp, escaped, input_stamp
from klio_dagster.observe.status import Status, status_of
from klio_dagster.store.removed import removed_entities
from klio_dagster.store.sources import SourceListing
from klio_dagster.store.store import Store

Version = Callable[[str], str | None]
"""The version of an input of an entity, as it stands in JSON; None where there is none."""

_MATERIALIZED, _FAILED, _CODE_IS_SAME = 1, 2, 4
_OWN_BITS = 3
_SAME_INPUT, _OTHER_INPUT = 1, 2  # 0: there is none
_INPUT_BITS = 2


def surveyed(
    group: EntityGroup,
    request: Request,
    selected: Collection[str],
    *,
    ledger: Ledger,
    store: Store,
    partitioned: Collection[str],
    in_flight: InFlight,
) -> Status:
    """The counts of one group.

    Args:
        group: the group.
        request: for all entities of its catalogue, nothing forced.
        selected: names of the assets to count.
        ledger: Dagster's log.
        store: where sources, claims and outputs lie.
        partitioned: keys of the outside assets that have the group's partitions.
        in_flight: what live runs hold of these assets.

    Raises:
        ConfigError: the store cannot be listed.
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be read.
    """
    names = tuple(asset.name for asset in group.chain.assets if asset.name in selected)
    listings = listings_of(group, names, store)
    # Of these the plan knows more than their signature says.
    special = {entity for _, entity in in_flight.pairs} | removed_entities(store)
    special.update(receipt.entity for receipt in in_flight.receipts)
    stands_for = _representatives(
        group, request.entities, names, special, ledger, partitioned, listings
    )
    gathered = gather(
        group,
        Request(entities=tuple(stands_for), rerun_on=request.rerun_on),
        selected,
        ledger=ledger,
        store=store,
        partitioned=partitioned,
        in_flight=in_flight,
        listings=listings,
    )
    return status_of(group, gathered, gathered.plan(group), stands_for)


def _representatives(
    group: EntityGroup,
    entities: Sequence[str],
    names: Sequence[str],
    special: Collection[str],
    ledger: Ledger,
    partitioned: Collection[str],
    listings: Mapping[str, SourceListing],
) -> dict[str, int]:
    """Entities to plan, each to how many it stands for."""
    inputs = [group.chain.inputs(name) for name in names]
    outside = {key for each in inputs for key in each.outside}
    needed = dict.fromkeys([*names, *(dep for each in inputs for dep in each.assets)])
    stamps = {name: ledger.stamps(group.keys[name]) for name in needed}
    known = {name: stamp for name, stamp in stamps.items() if stamp is not None}
    if outside.intersection(partitioned) or len(known) < len(stamps):
        return dict.fromkeys(entities, 1)
    versions: dict[str, Version] = {
        pattern: dict(escaped({e: found.version for e, found in listing.matches.items()})).get
        for pattern, listing in listings.items()
    }
    for name in {dep for each in inputs for dep in each.assets}:
        versions[name] = {e: v or "unknown" for e, v in known[name].data_versions().items()}.get
    for key in outside:
        versions[key] = _shared(ledger.unpartitioned_version(key))
    return _grouped(entities, _signatures(group, entities, names, known, versions), special)


def _signatures(
    group: EntityGroup,
    entities: Sequence[str],
    names: Sequence[str],
    known: Mapping[str, Stamps],
    versions: Mapping[str, Version],
) -> Iterable[int]:
    """What the plan knows of each entity, as one number."""
    signatures = [0] * len(entities)
    for name in names:
        each = group.chain.inputs(name)
        inputs = [
            (input_stamp(group.keys.get(dep, dep)), versions[dep])
            for dep in (*each.sources, *each.assets, *each.outside)
        ]
        code = code_stamp(group.code_versions[name])
        bits = _OWN_BITS + _INPUT_BITS * len(inputs)
        tags, failed = known[name].tags, known[name].failed
        for number, entity in enumerate(entities):
            text = tags.get(entity)
            found = _FAILED if entity in failed else 0
            if text is not None:
                found |= _MATERIALIZED | (_CODE_IS_SAME if code in text else 0)
            shift = _OWN_BITS
            for stamp, version in inputs:
                now = version(entity)
                if now is not None:
                    is_same = text is not None and f'{stamp}{now}"' in text
                    found |= (_SAME_INPUT if is_same else _OTHER_INPUT) << shift
                shift += _INPUT_BITS
            signatures[number] = signatures[number] << bits | found
    return signatures


def _grouped(
    entities: Sequence[str], signatures: Iterable[int], special: Collection[str]
) -> dict[str, int]:
    """The first entity of each signature, to how many have it; special ones for themselves."""
    first: dict[int, str] = {}
    stands_for: dict[str, int] = {}
    for entity, signature in zip(entities, signatures, strict=True):
        one = entity if entity in special else first.setdefault(signature, entity)
        stands_for[one] = stands_for.get(one, 0) + 1
    return stands_for


def _shared(version: str | None) -> Version:
    stored = None if version is None else dict(escaped({"": version}))[""]
    return lambda _entity: stored
