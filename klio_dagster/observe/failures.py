"""What failed, grouped: a hundred thousand failures are mostly a handful of causes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from klio_dagster.core.ids import escape
from klio_dagster.core.place import without_place
from klio_dagster.core.receipt import UPSTREAM_FAILED
from klio_dagster.core.record import FailedPair, FlaggedPair
from klio_dagster.ledger.ledger import Ledger

EXAMPLES = 3
ENTITY = "{entity}"
NUMBER = "#"

# Hexadecimal of eight digits or more is an address, a hash or an id; the rest are plain numbers.
_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\b(?=[0-9a-f-]*\d)[0-9a-f]{8}[0-9a-f-]*\b|\d+(?:[.,]\d+)*")


@dataclass(slots=True)
class FailureGroup:
    """Failures of one asset that say the same.

    Args:
        asset: asset key.
        kind: name of the exception, signal or reason.
        message: what they have in common: `#` stands for a number, `{entity}` for the id.
        count: how many there are.
        examples: the first entities, at most three.
        error: the whole error of the first of them.
    """

    asset: str
    kind: str
    message: str
    error: str
    count: int = 0
    examples: list[str] = field(default_factory=list[str])

    def to_json(self) -> dict[str, Any]:
        """What `klio failures --json` says of it."""
        return {
            "asset": self.asset,
            "type": self.kind,
            "message": self.message,
            "count": self.count,
            "examples": self.examples,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed at its last attempt.

    Args:
        causes: the pairs that failed by themselves, by asset and then by entity.
        blocked: how many pairs were not attempted because of them.
        flagged: what is stored though a check did not pass.
    """

    causes: Sequence[FailedPair]
    blocked: int
    flagged: Sequence[FlaggedPair] = ()

    def to_json(self) -> dict[str, Any]:
        """What `klio failures --json` says."""
        return {
            "groups": [group.to_json() for group in grouped(self.causes)],
            "failures": [
                {
                    "entity": pair.entity,
                    "asset": pair.asset,
                    "error": pair.error,
                    "run_id": pair.run_id,
                }
                for pair in self.causes
            ],
            "blocked": self.blocked,
            "flagged": [pair._asdict() for pair in self.flagged],
        }


def failures_of(
    ledger: Ledger,
    keys: Sequence[str],
    entities: Sequence[str] | None = None,
    flagged: Sequence[FlaggedPair] = (),
) -> Failures:
    """What failed of these assets.

    Args:
        ledger: Dagster's log.
        keys: asset keys, in the order wanted.
        entities: only these; all when None.
        flagged: of the same assets and entities.

    Raises:
        LedgerError: Dagster's log cannot be read.
    """
    order = {key: number for number, key in enumerate(keys)}
    failed = ledger.failures(keys, entities)
    causes = [pair for pair in failed if pair.kind != UPSTREAM_FAILED]
    causes.sort(key=lambda pair: (order[pair.asset], pair.entity))
    return Failures(causes, len(failed) - len(causes), flagged)


def grouped(causes: Iterable[FailedPair]) -> list[FailureGroup]:
    """The failures by asset, kind and what they say; in the order of assets, the most first."""
    groups: dict[tuple[str, str, str], FailureGroup] = {}
    order: dict[str, int] = {}
    for pair in causes:
        order.setdefault(pair.asset, len(order))
        message = common(pair.error, pair.entity)
        key = (pair.asset, pair.kind, message)
        group = groups.get(key)
        if group is None:
            group = groups[key] = FailureGroup(pair.asset, pair.kind, message, pair.error)
        group.count += 1
        if len(group.examples) < EXAMPLES:
            group.examples.append(pair.entity)
    return sorted(groups.values(), key=lambda each: (order[each.asset], -each.count, each.message))


def common(error: str, entity: str) -> str:
    """An error without what differs from entity to entity: its id, and every number.

    The line of code it was raised in stays: another line is another cause.
    """
    error, place = without_place(error)
    for name in dict.fromkeys((entity, escape(entity))):
        if name in error:
            error = _without_word(error, name)
    return _NUMBER.sub(NUMBER, error) + place


def _without_word(text: str, word: str) -> str:
    """The id taken out where it stands as a word: an id `a` is not every letter a."""
    # By hand: a pattern of its own for each of 100,000 ids costs 0.1 ms each to compile.
    first, *rest = text.split(word)
    parts = [first]
    for part in rest:
        is_inside = _is_word(parts[-1][-1:]) or _is_word(part[:1])
        parts += [word if is_inside else ENTITY, part]
    return "".join(parts)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
