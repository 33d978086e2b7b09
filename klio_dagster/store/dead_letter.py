"""`DeadLetter`: a message nobody will try again by himself, kept with its reason.

One object each, named after the letter: the same message is kept once, however often it is put.
A person looks at it, and sends it back to its sensor or drops it.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from klio_dagster.core.letter import Letter
from klio_dagster.store.layout import dead_letter_prefix
from klio_dagster.store.objects import ObjectStore

SUFFIX = ".json"
_AT_ONCE = 16  # a bucket answers each after some 20 ms
_FEW = 4
_LATEST = 253_402_300_800.0  # year 10,000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that could not be used, and why.

    Args:
        group: of assets it was for.
        sensor: that took it in; empty for an entity that came without a message.
        entity: id it is about; None where that cannot be read from it.
        reason: one word: undecodable, invalid_id, run_failed, failed, input_missing, ...
        error: one line.
        at: when it was given up, in seconds since the epoch.
        attempts: how often it was tried.
        letter: the message.
    """

    group: str
    sensor: str = ""
    entity: str | None = None
    reason: str
    error: str
    at: float
    attempts: int = 1
    letter: Letter

    @property
    def id(self) -> str:
        """The letter's: tells it from all others of its group."""
        return self.letter.id

    @property
    def path(self) -> str:
        """Where it lies in the store.

        Raises:
            ConfigError: the group's name cannot be a folder.
        """
        return f"{dead_letter_prefix(self.group)}{self.id}{SUFFIX}"

    def head(self) -> dict[str, Any]:
        """All but the message, as plain values."""
        return {
            "id": self.id,
            "group": self.group,
            "sensor": self.sensor,
            "entity": self.entity,
            "reason": self.reason,
            "error": self.error,
            "at": self.at,
            "attempts": self.attempts,
        }

    def to_bytes(self) -> bytes:
        """What is stored."""
        return json.dumps({"v": 1, **self.head(), "letter": self.letter.to_json()}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "DeadLetter":
        """The dead letter that was stored.

        Raises:
            ValueError: these bytes are none.
        """
        try:
            fields = cast("dict[str, Any]", json.loads(data))
            found = cls(
                group=_text(fields["group"]),
                sensor=_text(fields["sensor"]),
                entity=None if fields["entity"] is None else _text(fields["entity"]),
                reason=_text(fields["reason"]),
                error=_text(fields["error"]),
                at=float(fields["at"]),
                attempts=int(fields["attempts"]),
                letter=Letter.from_json(fields["letter"]),
            )
            is_possible = 0 <= found.at < _LATEST
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if not is_possible:
            raise ValueError(f"there is no time {found.at}")
        return found


def put(store: ObjectStore, dead_letter: DeadLetter) -> None:
    """Keep it; durable when this returns. The same letter again replaces what was said of it.

    Raises:
        ConfigError: the group's name cannot be a folder, or the store does not let us write.
        StoreUnavailableError: the store did not answer.
    """
    store.put(dead_letter.path, dead_letter.to_bytes())


def put_all(store: ObjectStore, dead_letters: Sequence[DeadLetter]) -> None:
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
        list(threads.map(partial(put, store), dead_letters))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value
