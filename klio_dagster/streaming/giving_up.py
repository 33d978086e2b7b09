"""What was tried too often goes to the dead letters.

The order of the durable steps:

1. its messages, or one made for it, are put among the dead letters;
2. it is remembered that it was given up: a dead letter that is dropped does not come back;
3. its messages are held no longer.

A kill between any two repeats what was done: the same letter is the same dead letter, and messages
that are still held of an entity that was given up are moved by the next tick.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from klio_dagster.core.letter import Letter
from klio_dagster.core.receipt import UPSTREAM_FAILED
from klio_dagster.core.record import Tries
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.telling import something_new
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.dead_letter import DeadLetter, put_all
from klio_dagster.store.given_up import GivenUp, remember
from klio_dagster.store.kept import readable
from klio_dagster.store.store import Store

_AT_ONCE = 500
_NEVER = GivenUp(0, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class GivingUp:
    """Moves entities of a group to the dead letters.

    Args:
        store: the group's.
        group: the group.
        ledger: Dagster's log.
        tries: how often each entity was tried.
        held: entity to the paths of its held messages.
        before: who was given up before.
        warn: takes a line on what is spoilt; it stays where it is, and stops no other.
        clock: seconds since the epoch.
    """

    store: Store
    group: EntityGroup
    ledger: Ledger
    tries: Mapping[str, Tries]
    held: Mapping[str, Sequence[str]]
    before: Mapping[str, GivenUp]
    warn: Callable[[str], None]
    clock: Callable[[], float] = time.time

    def give_up(self, entities: Sequence[str]) -> None:
        """Move them; durable when this returns.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: the store did not answer or is full.
            LedgerError: Dagster's log cannot be read.
        """
        for start in range(0, len(entities), _AT_ONCE):
            some = entities[start : start + _AT_ONCE]
            errors = self._errors(some)
            known = {entity: self._letters(entity) for entity in some}
            put_all(
                self.store,
                [d for e, letters in known.items() for d in self._dead(e, letters, errors.get(e))],
            )
            for entity in some:
                event_id = self.tries[entity].event_id
                remember(self.store, self.group.name, entity, event_id, self.clock())
                earlier = self.before.get(entity, _NEVER)
                if event_id > earlier.event_id:
                    self.store.delete_many(earlier.paths)
            # Only what was read: messages that came since then lie in objects of their own.
            self.store.delete_many(path for letters in known.values() for path in letters.paths)

    def _errors(self, entities: Sequence[str]) -> dict[str, str]:
        """Entity to the line of its first failure, upstream first."""
        keys = [self.group.keys[asset.name] for asset in self.group.chain.assets]
        errors: dict[str, str] = {}
        for pair in self.ledger.failures(keys, entities):
            if pair.kind != UPSTREAM_FAILED:
                line = " ".join(f"{pair.asset}: {pair.error}".split())
                errors.setdefault(pair.entity, line)
        return errors

    def _dead(self, entity: str, letters: "_Letters", error: str | None) -> Iterator[DeadLetter]:
        for sensor, letter in letters.found:
            yield DeadLetter(
                group=self.group.name,
                sensor=sensor,
                entity=entity,
                reason="failed",
                error=error or "it failed",
                at=self.clock(),
                attempts=self.tries[entity].failed,
                letter=letter,
            )

    def _letters(self, entity: str) -> "_Letters":
        """The entity's messages with the sensors that took them in, or one made for it."""
        found: list[tuple[str, Letter]] = []
        paths: list[str] = []
        held = self.held.get(entity, ())
        for path, messages in readable(self.store, held, self.warn) if held else ():
            paths.append(path)
            if messages is not None:
                found += [(messages.sensor, letter) for letter in messages.asked.letters]
        if not paths:  # nothing that can be read; what has gone somebody else has moved
            found += [("", letter) for letter in something_new(entity).letters]
        return _Letters(found, paths)


class _Letters(NamedTuple):
    """Messages of one entity, and where they were held."""

    found: Sequence[tuple[str, Letter]]
    paths: Sequence[str]
