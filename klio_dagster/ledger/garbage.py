"""What nobody needs any more: found in a store, and removed by `klio gc`.

Never what a claim, live or dead, still names, never what the ledger does not have yet, and never a
message: they leave the store by being recorded, passed on or dropped.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from klio_dagster.core.fold import fold, unrecorded
from klio_dagster.errors import ObjectNotFoundError
from klio_dagster.ledger.in_flight import finished_receipts
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.claims import DEAD_AFTER_S, read_claims
from klio_dagster.store.inbox import all_batches
from klio_dagster.store.layout import (
    OPEN_PREFIX,
    OWN_FOLDER,
    PUBLISHED_PREFIX,
    RECEIPTS_PREFIX,
    REQUESTS_PREFIX,
    RUNS_PREFIX,
    claim_path,
    entity_of,
)
from klio_dagster.store.local import leftovers
from klio_dagster.store.objects import ObjectInfo
from klio_dagster.store.store import Store

_LEFTOVER_AGE_S = 60.0  # an upload takes less
_AT_ONCE = 100  # outputs removed before the claims are read again


class Kind(StrEnum):
    """Why an object is not needed."""

    LEFTOVER = "leftovers"
    CLAIM = "claims"
    RECEIPTS = "receipts"
    RUN = "runs"
    REQUEST = "requests"
    PUBLISHED = "published"
    ORPHAN = "orphans"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What is not garbage, whatever its age.

    Args:
        younger_than: seconds since 1970; receipts, manifests, lists, requests and notes of what was
            passed on written later.
        requests: paths of the request files that runs which are not finished yet will read.
    """

    younger_than: float
    requests: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An asset whose outputs lie in the store.

    Args:
        key: its asset key.
        suffix: of its outputs now.
        suffixes: of the outputs it may have had.
    """

    key: str
    suffix: str
    suffixes: Sequence[str]


def garbage(
    store: Store, ledger: Ledger, keep: Keep, keys: Sequence[str], *, now: float
) -> Iterator[tuple[Kind, ObjectInfo]]:
    """What may go, but for outputs; nothing is removed.

    Args:
        store: to look through.
        ledger: Dagster's log.
        keep: what stays.
        keys: of the assets whose folders may hold leftovers of killed writes.
        now: seconds since 1970, by the store's clock.

    Raises:
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be read.
    """
    root = store.local_path("")
    if root is not None:
        found = leftovers(root, _LEFTOVER_AGE_S, (OWN_FOLDER, *keys))
        yield from ((Kind.LEFTOVER, info) for info in found)
    held = {state.claim.work_id for state in read_claims(store, now=now)}
    for info in store.list(OPEN_PREFIX):
        is_old = info.modified.timestamp() < now - DEAD_AFTER_S
        if is_old and not store.exists(claim_path(_work_id(info, OPEN_PREFIX))):
            yield Kind.CLAIM, info
    for kind, prefix in ((Kind.RECEIPTS, RECEIPTS_PREFIX), (Kind.RUN, RUNS_PREFIX)):
        for work_id, files in _by_work(store, prefix):
            newest = max(info.modified.timestamp() for info in files)
            if work_id in held or newest >= keep.younger_than:
                continue
            if kind is Kind.RUN or _is_recorded(store, ledger, work_id):
                yield from ((kind, info) for info in files)
    at_work = {*held, *_unfinished(store)}
    for work, files in _by_work(store, PUBLISHED_PREFIX):
        newest = max(info.modified.timestamp() for info in files)
        if work not in at_work and newest < keep.younger_than:
            yield from ((Kind.PUBLISHED, info) for info in files)
    for info in store.list(REQUESTS_PREFIX):
        if info.modified.timestamp() < keep.younger_than and info.path not in keep.requests:
            yield Kind.REQUEST, info


def orphans(
    store: Store, ledger: Ledger, outputs: Iterable[Output], *, now: float
) -> Iterator[tuple[Kind, ObjectInfo]]:
    """Outputs that no record of the ledger names: of entities that are gone, of another codec.

    Files that no output is called like are somebody else's. Assets that a claim names are left
    out: a run stores outputs before it records them. So are outputs written from `now` on: their
    run may have opened its claim after the claims were read.

    Args:
        store: to look through.
        ledger: Dagster's log.
        outputs: the assets.
        now: seconds since 1970, by the store's clock; taken before this is called.

    Raises:
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be read.
    """
    claimed = _claimed(store)
    for output in outputs:
        if output.key in claimed:
            continue
        found = [
            (info, entity, suffix)
            for info in store.list(f"{output.key}/")
            if info.modified.timestamp() < now
            for suffix in output.suffixes
            if (entity := entity_of(output.key, suffix, info.path)) is not None
        ]
        records = ledger.records([output.key], None)[output.key]
        made = {entity for entity, record in records.items() if record.materialized}
        old = {entity for _, entity, suffix in found if suffix != output.suffix and entity in made}
        uris = {e: str(m.get("uri")) for e, m in _metadata(ledger, output.key, old).items()}
        for info, entity, suffix in found:
            is_named = suffix == output.suffix or uris.get(entity) == store.uri(info.path)
            if entity not in made or not is_named:
                yield Kind.ORPHAN, info


def remove_orphans(store: Store, found: Sequence[ObjectInfo]) -> None:
    """Remove outputs that were found to be orphans, except those written anew since.

    Assets that a claim names by now are left out, too: their outputs are being written.

    Raises:
        StoreUnavailableError: the store did not answer.
    """
    for start in range(0, len(found), _AT_ONCE):
        claimed = _claimed(store)
        for info in found[start : start + _AT_ONCE]:
            if any(info.path.startswith(f"{key}/") for key in claimed):
                continue
            with suppress(ObjectNotFoundError):
                if store.head(info.path) == info:
                    store.delete(info.path)


def remove(store: Store, kind: Kind, found: Sequence[ObjectInfo]) -> None:
    """Remove garbage. Killed in between, the next call finds the rest.

    Raises:
        StoreUnavailableError: the store did not answer.
    """
    if kind is Kind.ORPHAN:
        remove_orphans(store, found)
    elif kind is Kind.LEFTOVER:
        for info in found:
            with suppress(FileNotFoundError):
                os.unlink(store.uri(info.path))  # no object of a store is called like that
    else:
        store.delete_many(info.path for info in found)


def _claimed(store: Store) -> set[str]:
    """The assets that some run holds, alive or dead."""
    return {key for state in read_claims(store) for key in state.claim.assets}


def _metadata(
    ledger: Ledger, key: str, entities: Collection[str]
) -> Mapping[str, Mapping[str, object]]:
    return ledger.latest_metadata(key, sorted(entities)) if entities else {}


def _by_work(store: Store, prefix: str) -> Iterator[tuple[str, list[ObjectInfo]]]:
    listed = sorted(store.list(prefix))
    for work_id, files in groupby(listed, key=lambda info: _work_id(info, prefix)):
        yield work_id, list(files)


def _unfinished(store: Store) -> Iterator[str]:
    """Batches of the inbox: what of them was passed on still counts."""
    for batch in all_batches(store):
        yield batch.id


def _work_id(info: ObjectInfo, prefix: str) -> str:
    return info.path.removeprefix(prefix).partition("/")[0]


def _is_recorded(store: Store, ledger: Ledger, work_id: str) -> bool:
    """The ledger has all of a run's receipts; those that were compacted it has for certain."""
    folded = fold(finished_receipts(store, work_id))
    if not folded:
        return True
    keys, entities = ({pair[n] for pair in folded} for n in (0, 1))
    return not unrecorded(folded, ledger.records(sorted(keys), sorted(entities)))
