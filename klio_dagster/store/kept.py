"""Messages that wait outside of the inbox, an object an entity.

<store>/_klio/held/<group>/<escaped entity id>      of an entity that failed, until it does not
<store>/_klio/waiting/<asset>/<escaped entity id>   of one whose input was asked for upstream
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from klio_dagster.core.ids import escape, unescape
from klio_dagster.core.letter import Asked, Letter
from klio_dagster.errors import ConfigError, InvalidEntityIdError
from klio_dagster.store.layout import WAITING_PREFIX, held_prefix, waiting_path
from klio_dagster.store.objects import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Messages whose entity's input was asked for upstream.

    Args:
        asset: key of the asset whose input is missing.
        sensor: the sensor that took them in.
        since: when the input was first missed, seconds since 1970.
        is_requested: the upstream job was asked.
        asked: the messages.
    """

    asset: str
    sensor: str
    since: float
    is_requested: bool
    asked: Asked


def held_entities(store: ObjectStore, group: str) -> dict[str, str]:
    """The entities with held messages, to the path of these.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    prefix = held_prefix(group)
    held: dict[str, str] = {}
    for info in store.list(prefix):
        try:
            held[unescape(info.path.removeprefix(prefix))] = info.path
        except InvalidEntityIdError:  # nobody of us wrote it
            continue
    return held


def hold(store: ObjectStore, group: str, asked: Asked) -> None:
    """Keep the messages of an entity that failed, with those that are held already.

    Whoever calls this holds the entity: nobody else writes its messages.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    before = held(store, group, asked.entity)
    kept = replace(asked, letters=joined(before, asked.letters), waits_for=())
    store.put(held_path(group, asked.entity), kept.to_line().encode())


def held(store: ObjectStore, group: str, entity: str) -> tuple[Letter, ...]:
    """The messages that are held for an entity.

    Raises:
        ConfigError: somebody has spoilt them, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    path = held_path(group, entity)
    data = store.get_or_none(path)
    return _asked(data, store.uri(path)).letters if data is not None else ()


def held_path(group: str, entity: str) -> str:
    """Where the messages of an entity are held."""
    return held_prefix(group) + escape(entity)


def joined(one: tuple[Letter, ...], other: tuple[Letter, ...]) -> tuple[Letter, ...]:
    """The letters of both, each once."""
    return tuple({letter.id: letter for letter in (*one, *other)}.values())


def put_waiting(store: ObjectStore, waiting: Waiting) -> None:
    """Write down what waits.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer or is full.
    """
    fields = {
        "sensor": waiting.sensor,
        "since": waiting.since,
        "is_requested": waiting.is_requested,
        "asked": json.loads(waiting.asked.to_line()),
    }
    path = waiting_path(waiting.asset, waiting.asked.entity)
    store.put(path, json.dumps(fields).encode() + b"\n")


def waiting_for(store: ObjectStore, asset: str, entity: str) -> Waiting | None:
    """What waits for an input of an entity; None if nothing does.

    Raises:
        ConfigError: somebody has spoilt it, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    path = waiting_path(asset, entity)
    data = store.get_or_none(path)
    if data is None:
        return None
    try:
        fields = json.loads(data)
        return Waiting(
            asset=asset,
            sensor=fields["sensor"],
            since=fields["since"],
            is_requested=fields["is_requested"],
            asked=Asked.from_line(json.dumps(fields["asked"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _spoilt(store.uri(path), error) from error


def all_waiting(store: ObjectStore, asset: str) -> Iterator[Waiting]:
    """All that waits for inputs of an asset.

    Raises:
        ConfigError: somebody has spoilt one, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    prefix = f"{WAITING_PREFIX}{asset}/"
    for info in store.list(prefix):
        try:
            entity = unescape(info.path.removeprefix(prefix))
        except InvalidEntityIdError:  # of an asset whose key is longer, or nobody's
            continue
        found = waiting_for(store, asset, entity)
        if found is not None:
            yield found


def _asked(data: bytes, uri: str) -> Asked:
    try:
        return Asked.from_line(data)
    except ValueError as error:
        raise _spoilt(uri, error) from error


def _spoilt(uri: str, error: Exception) -> ConfigError:
    return ConfigError(f"it holds no message ({error})", where=uri, fix="remove it")
