"""What live runs do: the pairs they still hold, and what they finished but did not record."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from klio_dagster.core.fold import as_record, fold, fold_work, is_news
from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.core.receipt import Receipt
from klio_dagster.core.record import Record, Records
from klio_dagster.store.claim import Claim, ClaimState, goes_before
from klio_dagster.store.claims import read_claims
from klio_dagster.store.clock import Clock
from klio_dagster.store.receipts import ReceiptTail, compacted
from klio_dagster.store.store import Store


@dataclass(frozen=True, slots=True)
class InFlight:
    """What the live claims before ours hold.

    Args:
        claims: those that touch the assets asked for.
        pairs: (asset key, entity) without a receipt yet, to the claim that holds it.
        receipts: what is finished and perhaps not recorded yet.
        seen: work of the receipts to where the newest event stood when that work began.
    """

    claims: Sequence[ClaimState]
    pairs: Mapping[tuple[str, str], ClaimState]
    receipts: Sequence[Receipt]
    seen: Mapping[str, int]

    @property
    def signature(self) -> list[tuple[str, float, str | None]]:
        """Changes when a claim comes, goes, or holds something else."""
        return [(s.claim.generation, s.claim.created, s.claim.manifest) for s in self.claims]


def in_flight(
    store: Store,
    keys: Collection[str],
    entities: Iterable[str],
    ours: Claim | None = None,
    *,
    now: float | Clock | None = None,
    states: Iterable[ClaimState] | None = None,
) -> InFlight:
    """What other live runs hold of these assets.

    Args:
        store: where claims lie.
        keys: asset keys asked for.
        entities: entities asked for.
        ours: our own claim; only claims that go before it count. None: all count.
        now: the store's clock, see `read_claims`.
        states: the claims, where they have just been read.

    Raises:
        ConfigError: a claim cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    if states is None:
        states = read_claims(store, now=now, ours=ours.work_id if ours else "")
    claims = [
        state
        for state in states
        if state.is_alive
        and not set(keys).isdisjoint(state.claim.assets)
        and (ours is None or goes_before(state.claim, ours))
        and (ours is None or state.claim.generation != ours.generation)
    ]
    pairs: dict[tuple[str, str], ClaimState] = {}
    receipts: list[Receipt] = []
    for state in claims:
        finished = fold_work(all_receipts(store, state.claim.work_id))
        receipts.extend(finished.values())
        for pair in held_pairs(store, state.claim, entities):
            if pair not in finished:
                pairs.setdefault(pair, state)  # the one that goes first comes first
    return InFlight(claims, pairs, receipts, seen_by(claims))


def seen_by(claims: Iterable[ClaimState]) -> dict[str, int]:
    """Work id to where the newest event stood in the ledger when the work began."""
    return {state.claim.work_id: state.claim.seen for state in claims}


def with_receipts(
    records: Records, receipts: Collection[Receipt], seen: Mapping[str, int]
) -> Records:
    """The records as they will be once these receipts are written to the ledger.

    Args:
        records: what the ledger knows.
        receipts: of works that are not recorded, or not whole.
        seen: work id to where the newest event stood when the work began.
    """
    if not receipts:
        return records
    known = {asset: dict(by_entity) for asset, by_entity in records.items()}
    for (asset, entity), receipt in fold(receipts).items():
        before: Record | None = known.get(asset, {}).get(entity)
        if is_news(receipt, before, seen.get(receipt.run, 0)):
            known.setdefault(asset, {})[entity] = as_record(receipt, before)
    return known


def finished_receipts(store: Store, work_id: str) -> Iterator[Receipt]:
    """All receipts of a run's work that are not compacted yet.

    Raises:
        StoreUnavailableError: the store did not answer.
    """
    for receipts in ReceiptTail(store, work_id).new():
        yield from receipts


def all_receipts(store: Store, work_id: str) -> Iterator[Receipt]:
    """All receipts of a live run: it compacts them a moment before it gives its claim up.

    Raises:
        StoreUnavailableError: the store did not answer.
    """
    yield from finished_receipts(store, work_id)
    yield from compacted(store, work_id)  # after the parts, which are removed once this is written


def held_pairs(store: Store, claim: Claim, entities: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The pairs of a claim; until it has a manifest it holds every entity of its assets.

    Raises:
        ObjectNotFoundError: a part of its manifest is gone.
    """
    head = store.get_or_none(claim.manifest) if claim.manifest else None
    if head is None:
        yield from ((asset, entity) for entity in entities for asset in claim.assets)
        return
    manifest = Manifest.from_json(head)
    keys = {part.name: part.key for part in manifest.chain}
    for path in manifest.parts:
        for line in store.get(path).decode().splitlines():
            task = Task.from_line(line)
            yield from ((keys[name], task.entity) for name in task.run)
