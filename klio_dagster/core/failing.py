"""What failed: whose turn it is to be tried again, who rests, and who was tried often enough."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from klio_dagster.core.backoff import Backoff
from klio_dagster.core.record import Tries


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """Entities that failed, each once.

    Args:
        due: to be tried again, those first that have waited longest.
        resting: those whose pause is not over, to when it is, seconds since the epoch.
        exhausted: tried so often that they are to be given up.
        given_up: were given up before, and nobody has tried them since.
        under_way: somebody works on them, or will.
    """

    due: tuple[str, ...]
    resting: Mapping[str, float]
    exhausted: tuple[str, ...]
    given_up: tuple[str, ...]
    under_way: tuple[str, ...]


def failing(
    tries: Mapping[str, Tries],
    *,
    given_up: Mapping[str, int],
    under_way: Collection[str],
    max_attempts: int,
    backoff: Backoff,
    now: float,
) -> Failing:
    """Who of the entities that failed is what; a pure function, no I/O.

    Attempts count since the output was made last, and since the entity was given up last: whoever
    has it tried after that, gives it all attempts anew. One that only waits for another output,
    which works by now, is due at once.

    Args:
        tries: of each entity, the fresh ones being those after it was given up.
        given_up: entity to the event after which it was given up.
        under_way: is left alone.
        max_attempts: how often an entity is tried, >= 1.
        backoff: how long it rests after each attempt.
        now: seconds since the epoch.
    """
    due: list[tuple[float, str]] = []
    resting: dict[str, float] = {}
    exhausted: list[str] = []
    before: list[str] = []
    busy: list[str] = []
    for entity, known in sorted(tries.items()):
        rest_s = backoff.wait_s(known.fresh)
        if entity in under_way:
            busy.append(entity)
        elif known.event_id <= given_up.get(entity, 0):
            before.append(entity)
        elif known.fresh >= max_attempts:
            exhausted.append(entity)
        # An hour from now is as long ago: the clock was set back.
        elif abs(now - known.last_at) < rest_s:
            resting[entity] = known.last_at + rest_s
        else:
            due.append((known.last_at, entity))
    return Failing(
        due=tuple(entity for _, entity in sorted(due)),
        resting=resting,
        exhausted=tuple(exhausted),
        given_up=tuple(before),
        under_way=tuple(busy),
    )


def by_entity(of_assets: Iterable[Mapping[str, Tries]]) -> dict[str, Tries]:
    """The tries of each entity, whatever asset of it failed."""
    found: dict[str, Tries] = {}
    for tries in of_assets:
        for entity, known in tries.items():
            found[entity] = known.and_(found[entity]) if entity in found else known
    return found
