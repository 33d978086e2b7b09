"""Many dead letters at once."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from klio_dagster.core.letter import Asked
from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import DeadLetter, put
from klio_dagster.streaming.settings import SensorSettings

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


def bury(
    store: Store, settings: SensorSettings, asked: Asked, reason: str, error: str, attempts: int
) -> int:
    """Keep the messages of an entity among the dead letters.

    Returns:
        How many they are.

    Raises:
        ConfigError: the group's name cannot be a folder, or the store does not let us write.
        StoreUnavailableError: the store did not answer.
    """
    dead = [
        DeadLetter(
            group=settings.group.name,
            sensor=settings.name,
            entity=asked.entity,
            reason=reason,
            error=error,
            at=time.time(),
            attempts=attempts,
            letter=letter,
        )
        for letter in asked.letters
    ]
    put_all(store, dead)
    return len(dead)
