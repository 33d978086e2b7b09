"""Many dead letters at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import DeadLetter, put

_AT_ONCE = 16  # a bucket answers each after some 20 ms
_FEW = 4


def put_all(store: Store, dead_letters: Sequence[DeadLetter]) -> None:
    """Keep them; durable when this returns.

    Raises:
        ConfigError: the group's name cannot be a folder, or the store does not let us write.
        StoreUnavailableError: the store did not answer.
    """
    if len(dead_letters) <= _FEW:
        for each in dead_letters:
            put(store, each)
        return
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in threads.map(lambda each: put(store, each), dead_letters):
            pass
