"""Messages that wait outside of the inbox.

<store>/_klio/held/<group>/<escaped entity id>=<id>      of an entity that failed, until it does not
<store>/_klio/waiting/+unasked/<sensor>/<id>.jsonl       whose inputs are to be asked for upstream
<store>/_klio/waiting/<asset>/<id>/<escaped entity id>   of an entity whose input was asked for

What waits for inputs is never written over: two runs, or a run and a tick, may be at one entity at
once. `<id>` is of the batch and of the run that found the input missing.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple
from uuid import uuid4

from klio_dagster.core.letter import Asked, Letter, TakenIn
from klio_dagster.errors import ConfigError
from klio_dagster.store.inbox import Batch
from klio_dagster.store.layout import (
    UNASKED_PREFIX,
    WAITING_PREFIX,
    entity_and_id,
    held_path,
    held_prefix,
    unasked_prefix,
    waiting_entity,
    waiting_path,
)
from klio_dagster.store.objects import ObjectStore

_LINES = ".jsonl"
_AT_ONCE = 16


class Place(NamedTuple):
    """Where messages wait for an input, as a listing tells it; none of them is read.

    Args:
        asset: key of the asset whose input is missing.
        entity: entity id.
        path: in the store.
        since: when the upstream job was asked, by the store's clock, seconds since 1970.
    """

    asset: str
    entity: str
    path: str
    since: float


class Unasked(NamedTuple):
    """What one run has put aside and nobody has asked for upstream yet.

    Args:
        path: in the store.
        id: of the batch and the run it came from; in the paths of what waits, too.
        since: when it was put aside, by the store's clock, seconds since 1970.
    """

    path: str
    id: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Messages whose entity lacks an input that another job makes.

    Args:
        asset: key of the asset whose input is missing.
        sensor: the sensor that took them in.
        asked: the messages.
    """

    asset: str
    sensor: str
    asked: Asked

    def to_line(self) -> str:
        """As one line of JSON, with its newline: a line of an inbox that says more."""
        fields = json.loads(self.asked.to_line())
        fields |= {"asset": self.asset, "sensor": self.sensor}
        return json.dumps(fields, separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Waiting":
        """What a line holds.

        Raises:
            ValueError: it is no such line.
        """
        asked = Asked.from_line(line)
        fields = json.loads(line)
        try:
            return cls(asset=str(fields["asset"]), sensor=str(fields["sensor"]), asked=asked)
        except KeyError as error:
            raise ValueError(f"it does not say its {error}") from error


def held_entities(store: ObjectStore, group: str) -> dict[str, list[str]]:
    """The entities with held messages, to the paths of these.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    prefix = held_prefix(group)
    held: dict[str, list[str]] = {}
    for info in store.list(prefix):
        found = entity_and_id(info.path, prefix)
        if found is not None:  # or nobody of us wrote it
            held.setdefault(found[0], []).append(info.path)
    return held


def hold(store: ObjectStore, group: str, sensor: str, asked: Asked) -> None:
    """Keep the messages of an entity that failed, beside those that are held already.

    In an object of their own: whoever lets go of what he has read lets go of nothing else.

    Args:
        store: the group's.
        group: its name.
        sensor: which took them in.
        asked: the messages.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    kept = TakenIn(sensor=sensor, asked=asked.waiting_for(()))
    keys = sorted("".join(_key(letter)) for letter in asked.letters)
    told = sha256("".join(keys).encode()).hexdigest()
    path = held_path(group, asked.entity, told[:16])  # the same again is the same object
    store.put(path, kept.to_line().encode())


def held(store: ObjectStore, path: str) -> TakenIn | None:
    """The messages that are held at a path; None if they are gone.

    Raises:
        ConfigError: somebody has spoilt them, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    data = store.get_or_none(path)
    if data is None:
        return None
    try:
        return TakenIn.from_line(data)
    except ValueError as error:
        raise _spoilt(store.uri(path), error) from error


def readable(
    store: ObjectStore, paths: Iterable[str], warn: Callable[[str], None]
) -> Iterator[tuple[str, TakenIn | None]]:
    """What is held at paths, None where it is gone; what is spoilt stays there, and is told of.

    Some are read at once: a bucket answers each after some 20 ms.

    Args:
        store: where they lie.
        paths: of held messages.
        warn: takes a line.

    Raises:
        StoreUnavailableError: the store did not answer.
    """

    def read(path: str) -> TakenIn | ConfigError | None:
        try:
            return held(store, path)
        except ConfigError as error:
            return error

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        wanted = list(paths)
        for path, found in zip(wanted, threads.map(read, wanted), strict=True):
            if isinstance(found, ConfigError):
                warn(str(found))
            else:
                yield path, found


def joined(one: tuple[Letter, ...], other: tuple[Letter, ...]) -> tuple[Letter, ...]:
    """The letters of both, each once; one that says more in the one than in the other, twice."""
    return tuple({_key(letter): letter for letter in (*one, *other)}.values())


def put_unasked(store: ObjectStore, batch: Batch, waiting: Sequence[Waiting]) -> None:
    """Put messages aside until their sensor has asked for the input that they lack.

    An object of its own, whatever else is put aside: nothing in it is ever written over.

    Args:
        store: that of the batch.
        batch: where they stood.
        waiting: all for the same asset.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    path = f"{unasked_prefix(batch.sensor)}{batch.id}-{uuid4().hex[:8]}{_LINES}"
    rewrite_unasked(store, path, waiting)


def rewrite_unasked(store: ObjectStore, path: str, waiting: Sequence[Waiting]) -> None:
    """Write down those of them that are not asked for yet; the object goes when there is none.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    if waiting:
        store.put(path, "".join(each.to_line() for each in waiting).encode())
    else:
        store.delete(path)


def list_unasked(store: ObjectStore, sensor: str) -> list[Unasked]:
    """What a sensor has still to ask for, the oldest first.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    prefix = unasked_prefix(sensor)
    found = sorted(store.list(prefix))
    names = (info.path.removeprefix(prefix).removesuffix(_LINES) for info in found)
    return [
        Unasked(info.path, name, info.modified.timestamp())
        for info, name in zip(found, names, strict=True)
    ]


def read_waiting(store: ObjectStore, path: str) -> list[Waiting]:
    """The messages of an object that waits, asked for or not; none if it is gone.

    Raises:
        ConfigError: somebody has spoilt it, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    data = store.get_or_none(path)
    try:
        # Bytes: a text would also be split at U+2028, which JSON allows inside of an id.
        return [Waiting.from_line(line) for line in (data or b"").splitlines()]
    except ValueError as error:
        raise _spoilt(store.uri(path), error) from error


def put_waiting(store: ObjectStore, unasked: Unasked, waiting: Waiting) -> str:
    """Let messages wait whose input was asked for; the same again changes nothing.

    Returns:
        Where.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    path = waiting_path(waiting.asset, unasked.id, waiting.asked.entity)
    store.put(path, waiting.to_line().encode())
    return path


def waiting_places(
    store: ObjectStore, assets: Collection[str]
) -> dict[str, dict[str, list[Place]]]:
    """Asset key to entity to where its messages wait, asked for; one listing, nothing is read.

    Args:
        store: where they wait.
        assets: keys of a group's assets; what others wait for is left out.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    found: dict[str, dict[str, list[Place]]] = {}
    for info in store.list(WAITING_PREFIX):
        for asset in assets:
            entity = waiting_entity(asset, info.path)
            if entity is not None:
                place = Place(asset, entity, info.path, info.modified.timestamp())
                found.setdefault(asset, {}).setdefault(entity, []).append(place)
                break
    return found


def who_waits(store: ObjectStore, assets: Collection[str]) -> dict[str, dict[str, float | None]]:
    """Asset key to the entities that lack an input, to when it was asked for upstream.

    Args:
        store: where their messages wait.
        assets: keys.

    Returns:
        Seconds since 1970; None where nobody has asked yet.

    Raises:
        ConfigError: somebody has spoilt one, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    found: dict[str, dict[str, float | None]] = {}
    for asset, by_entity in waiting_places(store, assets).items():
        found[asset] = {e: min(place.since for place in at) for e, at in by_entity.items()}
    for info in store.list(UNASKED_PREFIX):
        for each in read_waiting(store, info.path):
            if each.asset in assets:
                found.setdefault(each.asset, {}).setdefault(each.asked.entity, None)
    return found


def all_waiting(store: ObjectStore, asset: str) -> Iterator[Waiting]:
    """All that waits for inputs of an asset, asked for or not.

    Raises:
        ConfigError: somebody has spoilt one, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    for info in store.list(WAITING_PREFIX):
        if info.path.startswith(UNASKED_PREFIX) or waiting_entity(asset, info.path) is not None:
            found = read_waiting(store, info.path)
            yield from (each for each in found if each.asset == asset)


def _key(letter: Letter) -> tuple[str, str]:
    """What was merged with another message says more than itself, when it is passed on."""
    return letter.id, "" if letter.forward == letter.data else sha256(letter.forward).hexdigest()


def _spoilt(uri: str, error: Exception) -> ConfigError:
    return ConfigError(f"it holds no message ({error})", where=uri, fix="remove it")
