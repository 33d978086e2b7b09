"""Who clears a dead claim away: one process, however many find it dead."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict

from klio_dagster.errors import ObjectNotFoundError
from klio_dagster.store.claims import store_time
from klio_dagster.store.clock import Clock, passed_s, silent_s, stamped
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
    path = settling_path(work_id)
    ours = stamped(asdict(Process.this()), monotonic)
    is_ours = store.put_if_absent(path, ours)
    if not is_ours and _is_abandoned(store, path, monotonic):
        store.delete(path)
        is_ours = store.put_if_absent(path, ours)
    try:
        yield is_ours and store.exists(claim_path(work_id))
    finally:
        if is_ours and store.get_or_none(path) == ours:
            store.delete(path)


def _is_abandoned(store: ObjectStore, path: str, monotonic: Clock) -> bool:
    """Whoever wrote this object is gone, or has not come to an end for very long."""
    data = store.get_or_none(path)
    if data is None:
        return True
    fields = json.loads(data)
    by = Process(**{field: fields[field] for field in ("host", "machine", "pid", "started")})
    try:
        modified = store.head(path).modified.timestamp()
    except ObjectNotFoundError:  # it has just come to its end
        return False
    age_s = silent_s(store, path, by, lambda: store_time(store) - modified, monotonic)
    return by.is_gone or age_s > _ABANDONED_AFTER_S
