"""Claims: what a started run holds, and whether that run still lives.

<store>/_klio/open/<work id>/claim.json   who holds what; written before the run plans
<store>/_klio/open/<work id>/beat         rewritten every 10 s; `store.clock` tells how old it is
<store>/_klio/open/<work id>/settling     who records what the dead run had finished
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any

from klio_dagster.errors import ObjectNotFoundError
from klio_dagster.store.claim import Claim, ClaimState, order, parsed
from klio_dagster.store.clock import Clock, passed_s, silent_s, time_at
from klio_dagster.store.layout import OPEN_PREFIX, beat_path, claim_path
from klio_dagster.store.objects import ObjectInfo, ObjectStore

DEAD_AFTER_S = 60.0
_WHOLE_SECONDS_S = 1.0  # a listing has fractions that an answer's header has not

_CLAIM_FILE = claim_path("x").rpartition("/")[2]


def read_claims(
    store: ObjectStore,
    *,
    now: float | Clock | None = None,
    monotonic: Clock = passed_s,
    ours: str = "",
) -> list[ClaimState]:
    """All claims in the store and whether their runs live; the one that goes first, first.

    A claim is dead if its process is gone (seen from the same machine), or if it was not touched
    for 60 s.

    Args:
        store: the store of the runs' outputs.
        now: the store's clock in seconds since 1970, or what tells it if there is a claim of
            another machine; None: `time_at`.
        monotonic: seconds, for claims of this machine.
        ours: id of the reader's own work, whose claim is not read.

    Raises:
        ConfigError: a claim cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    told = partial(time_at, store) if now is None else now
    clock = cache(told if callable(told) else lambda: told)
    return read_listed(store, listed_claims(store), clock, monotonic, ours)


def listed_claims(store: ObjectStore) -> dict[str, ObjectInfo]:
    """The objects of all claims, by path; none is read.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    return {info.path: info for info in store.list(OPEN_PREFIX)}


def read_listed(
    store: ObjectStore, listed: Mapping[str, ObjectInfo], clock: Clock, monotonic: Clock, ours: str
) -> list[ClaimState]:
    """The claims of a listing, see `read_claims`.

    Raises:
        ConfigError: a claim cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    own = claim_path(ours) if ours else ""
    states: list[ClaimState] = []
    for path, info in listed.items():
        if path == own or not path.endswith(f"/{_CLAIM_FILE}"):
            continue
        data = store.get_or_none(path)
        if data is None:  # closed since it was listed
            continue
        claim = parsed(data, info, store.uri(path))
        beat = beat_path(claim.work_id)
        touched = [info, listed.get(beat, info)]
        by_store_s = partial(_by_store_s, store, touched, clock)
        age_s = silent_s(store, beat, claim.launcher, by_store_s, monotonic)
        states.append(_state(claim, age_s))
    return sorted(states, key=lambda state: order(state.claim))


def generation_of(store: ObjectStore, work_id: str) -> str | None:
    """The generation of the claim that there is; None if there is none, or none we can read.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    data = store.get_or_none(claim_path(work_id))
    try:
        return None if data is None else json.loads(data)["generation"]
    except (ValueError, KeyError, TypeError):
        return None


def holder_of(store: ObjectStore, work_id: str) -> tuple[str, dict[str, Any]] | None:
    """Generation and launcher of the claim that there is; None if there is none we can read.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    data = store.get_or_none(claim_path(work_id))
    try:
        fields: dict[str, Any] = {} if data is None else json.loads(data)
        return fields["generation"], fields["launcher"]
    except (ValueError, KeyError, TypeError):
        return None


def claim_of(store: ObjectStore, work_id: str) -> Claim | None:
    """The claim of a work; None if there is none, or none we can read.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    path = claim_path(work_id)
    with suppress(ObjectNotFoundError):
        return parsed(store.get(path), store.head(path), store.uri(path))
    return None


def remove_claim(store: ObjectStore, work_id: str) -> None:
    """Give free what a run held; fine if it held nothing.

    Raises:
        ConfigError: the store does not let us delete.
        StoreUnavailableError: it did not answer.
    """
    # The claim last: killed in between, it is a dead claim that the next run clears away.
    store.delete(beat_path(work_id))
    store.delete(claim_path(work_id))


def _by_store_s(store: ObjectStore, touched: list[ObjectInfo], clock: Clock) -> float:
    """Seconds since the newest of some objects was written; as of now, not of the listing."""
    now = clock()
    age_s = min(abs(now - each.modified.timestamp()) for each in touched)
    if age_s <= DEAD_AFTER_S:
        return age_s
    # A store that answers slowly makes what was listed old while its run beats on.
    for each in touched:
        with suppress(ObjectNotFoundError):
            since_s = (store.head(each.path).modified - each.modified).total_seconds()
            if since_s > _WHOLE_SECONDS_S:  # it was written again, however long that took to ask
                return 0.0
    return age_s


def _state(claim: Claim, age_s: float) -> ClaimState:
    if claim.launcher.is_gone:
        why = f"{claim.launcher} is gone"
    elif age_s > DEAD_AFTER_S:
        why = f"no sign of life from {claim.launcher.host} for {age_s:.0f} s"
    else:
        return ClaimState(claim, True, f"{claim.launcher}, seen {age_s:.0f} s ago")
    # Whoever wants its entities asks for its job first.
    return ClaimState(claim, claim.is_remote, why, is_orphaned=claim.is_remote)
