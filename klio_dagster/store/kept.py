"""Messages that wait outside of the inbox.

<store>/_klio/held/<group>/<escaped entity id>=<id>  of an entity that failed, until it does not
<store>/_klio/waiting/<asset>/<escaped entity id>    of one whose input was asked for upstream
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from klio_dagster.core.ids import unescape
from klio_dagster.core.letter import Asked, Letter
from klio_dagster.errors import ConfigError, InvalidEntityIdError
from klio_dagster.store.layout import (
    WAITING_PREFIX,
    entity_and_id,
    held_path,
    held_prefix,
    waiting_path,
)
from klio_dagster.store.objects import ObjectStore


class Held(NamedTuple):
    """Messages of an entity that failed, of one batch."""

    sensor: str
    """Which took them in."""
    asked: Asked


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
    kept = {"sensor": sensor, **json.loads(replace(asked, waits_for=()).to_line())}
    told = sha256("".join(sorted(letter.id for letter in asked.letters)).encode()).hexdigest()
    path = held_path(group, asked.entity, told[:16])  # the same again is the same object
    store.put(path, json.dumps(kept).encode() + b"\n")


def held(store: ObjectStore, path: str) -> Held | None:
    """The messages that are held at a path; None if they are gone.

    Raises:
        ConfigError: somebody has spoilt them, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    data = store.get_or_none(path)
    if data is None:
        return None
    try:
        return Held(json.loads(data).get("sensor", ""), Asked.from_line(data))
    except (ValueError, AttributeError) as error:
        raise _spoilt(store.uri(path), error) from error


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


def _spoilt(uri: str, error: Exception) -> ConfigError:
    return ConfigError(f"it holds no message ({error})", where=uri, fix="remove it")
