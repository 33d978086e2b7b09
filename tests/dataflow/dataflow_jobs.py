"""Transforms of the jobs; workers import them by name."""

import os
import time
from typing import Any

from klio_dagster.core.entity import Entity

SLOW_S = 0.3


def text(entity: Entity, source: bytes) -> dict[str, Any]:
    """Fails for a source that says `bad`, takes its time for one that says `slow`."""
    if source == b"bad":
        raise ValueError("it says bad")
    if source == b"slow":
        time.sleep(SLOW_S)
    return {"id": entity.id, "text": source.decode()}


def length(recording: dict[str, Any]) -> dict[str, int]:
    return {"n": len(recording["text"])}


def logged(entity: Entity, source: bytes) -> dict[str, Any]:
    """The same; says in the store's folder that it was executed."""
    with open(os.environ["KLIO_TESTS_EXECUTIONS"], "a") as log:
        log.write(f"{entity.id}\n")
    return text(entity, source)
