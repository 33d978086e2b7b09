"""Who clears a dead claim away: one process, however many find it dead."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from uuid import uuid4

from klio_dagster.errors import ObjectNotFoundError
from klio_dagster.store.clock import Clock, passed_s, silent_s, stamped, store_time
from klio_dagster.store.layout import claim_path, settling_path
from klio_dagster.store.objects import ObjectStore
from klio_dagster.store.processes import Process

_ABANDONED_AFTER_S = 600.0  # many receipts, or a ledger that is locked, take minutes


@contextmanager
def settling(store: ObjectStore, work_id: str, monotonic: Clock = passed_s) -> Generator[bool]:
    """Whether this process, and no other, is to clear a dead claim away; released at the end.

    Who was killed while it did so gives way: at once on the same machine, else after ten minutes.

    Args:
        store: where the claim lies.
        work_id: names it.
        monotonic: seconds.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer.
    """
    ours = stamped({**asdict(Process.this()), "token": uuid4().hex}, monotonic)
    number = _taken(store, work_id, ours, monotonic)
    try:
        yield number is not None and store.exists(claim_path(work_id))
    finally:
        if number is not None:
            if store.get_or_none(settling_path(work_id, number)) == ours:
                store.delete(settling_path(work_id, number))
            if not store.exists(claim_path(work_id)):  # nobody can take anything over any more
                store.delete_many(settling_path(work_id, n) for n in range(number))


def _taken(store: ObjectStore, work_id: str, ours: bytes, monotonic: Clock) -> int | None:
    """The number of the object that is ours now; None if another process is at it.

    What somebody who is gone has left stays where it is: were it deleted, the next one might delete
    what its successor has written since, and both would be at it.
    """
    number = 0
    while not store.put_if_absent(settling_path(work_id, number), ours):
        # The answer to a second try, when that to the first was lost.
        if store.get_or_none(settling_path(work_id, number)) == ours:
            return number
        if not _is_abandoned(store, settling_path(work_id, number), monotonic):
            return None
        number += 1
    return number


def _is_abandoned(store: ObjectStore, path: str, monotonic: Clock) -> bool:
    """Whoever wrote this object is gone, or has not come to an end for very long."""
    data = store.get_or_none(path)
    if data is None:  # it has just come to its end
        return False
    fields = json.loads(data)
    by = Process(**{field: fields[field] for field in ("host", "machine", "pid", "started")})
    try:
        modified = store.head(path).modified.timestamp()
    except ObjectNotFoundError:  # it has just come to its end
        return False
    age_s = silent_s(store, path, by, lambda: store_time(store) - modified, monotonic)
    return by.is_gone or age_s > _ABANDONED_AFTER_S
