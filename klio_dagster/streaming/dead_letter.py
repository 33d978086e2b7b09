"""Dead letters as people meet them: listed, read, sent back to their sensors, or dropped."""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from shlex import quote

from klio_dagster.core.ids import printable
from klio_dagster.errors import ConfigError, MessageError
from klio_dagster.store.dead_letter import SUFFIX, DeadLetter
from klio_dagster.store.layout import (
    DEAD_LETTER_PREFIX,
    REPLAY_PREFIX,
    dead_letter_prefix,
    replay_prefix,
)
from klio_dagster.store.objects import ObjectStore
from klio_dagster.streaming.finding import Kept, all_kept, begins, find, unknown

_MOST_BYTES = 64 * 2**20  # Pub/Sub's 10 MB in base64, twice, and room
_READ_AT_ONCE = 32  # of a bucket, which answers each after some 20 ms


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object among the dead letters that is torn, or none.

    Args:
        kept: where it lies.
        error: what is wrong with it.
    """

    kept: Kept
    error: MessageError

    @property
    def id(self) -> str:
        """The name by which it can be dropped."""
        return self.kept.name

    @property
    def path(self) -> str:
        """Where it lies in the store."""
        return self.kept.path


def kept(store: ObjectStore, group: str | None = None) -> list[Kept]:
    """Names of all dead letters, sorted; none is read.

    Raises:
        ConfigError: the group's name cannot be a folder, or the store does not let us read.
        StoreUnavailableError: the store did not answer.
    """
    prefix = DEAD_LETTER_PREFIX if group is None else dead_letter_prefix(group)
    return all_kept(store, prefix)


def listed(store: ObjectStore, group: str | None = None) -> Iterator[DeadLetter | Unreadable]:
    """Each dead letter, read when it is its turn; what cannot be read stops no other.

    Args:
        store: where they are kept.
        group: only its; those of all groups when None, also of groups that are no more.

    Raises:
        ConfigError: the group's name cannot be a folder, or the store does not let us read.
        StoreUnavailableError: the store did not answer.
    """
    return read(store, kept(store, group))


def read(store: ObjectStore, where: Iterable[Kept]) -> Iterator[DeadLetter | Unreadable]:
    """What lies at these places, in their order; what is gone by now is left out.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    if store.local_path("") is not None:  # a file is there faster than a thread takes it up
        yield from (found for each in where if (found := _read(store, each)) is not None)
        return
    places = iter(where)
    with ThreadPoolExecutor(_READ_AT_ONCE) as threads:
        while batch := list(islice(places, _READ_AT_ONCE)):
            found = threads.map(lambda each: _read(store, each), batch)
            yield from (each for each in found if each is not None)


def get(store: ObjectStore, letter_id: str, group: str | None = None) -> DeadLetter:
    """The dead letter of an id, or of the beginning of one if no other begins like that.

    Raises:
        ConfigError: none has this id, or several.
        MessageError: it is torn, or no dead letter.
        StoreUnavailableError: the store did not answer.
    """
    for found in read(store, find(kept(store, group), [letter_id])):
        match found:
            case DeadLetter():
                return found
            case Unreadable(error=error):
                raise error
    refused = unknown(letter_id)  # somebody else was faster
    raise refused


def drop(store: ObjectStore, ids: Iterable[str], group: str | None = None) -> int:
    """Remove dead letters for good, also unreadable ones; how many.

    Raises:
        ConfigError: none has one of the ids, or several have; nothing is removed.
        StoreUnavailableError: the store did not answer.
    """
    found = find(kept(store, group), ids)
    store.delete_many(each.path for each in found)
    return len(found)


def own_sensor(dead_letter: DeadLetter) -> str:
    """The sensor that took it in.

    Raises:
        ConfigError: none did: its entity came without a message.
    """
    if not dead_letter.sensor:
        raise ConfigError(
            "it came through no sensor",
            where=f"dead letter {dead_letter.id}",
            fix=f"`klio run {quote(printable(dead_letter.entity or 'ENTITY'))}` is the way",
        )
    return dead_letter.sensor


def replay(
    store: ObjectStore,
    ids: Iterable[str],
    group: str | None = None,
    *,
    to: Callable[[DeadLetter], str] = own_sensor,
) -> int:
    """Send dead letters back to their sensors; how many were not on their way already.

    One that cannot be sent back stops no other.

    Args:
        store: where they are kept.
        ids: of letters, or beginnings of ids.
        group: only its.
        to: the name of the sensor that is to take one in.

    Raises:
        ConfigError: none has one of the ids, or several have, and nothing is done; or one cannot be
            sent back.
        MessageError: one is torn, or no dead letter.
        StoreUnavailableError: the store did not answer.
    """
    asked = list(ids)
    dead = kept(store, group)
    coming = on_their_way(store)
    gone = {each for each in asked if begins(coming, each) and not begins(dead, each)}
    problems: list[MessageError | ConfigError] = []
    sent = 0
    for found in read(store, find(dead, [each for each in asked if each not in gone])):
        try:
            send_back(store, found, to)
            sent += 1
        except (MessageError, ConfigError) as error:
            problems.append(error)
    if problems:
        raise problems[0]
    return sent


def send_back(
    store: ObjectStore,
    found: DeadLetter | Unreadable,
    to: Callable[[DeadLetter], str] = own_sensor,
) -> None:
    """Send one back to its sensor, whose next tick takes it in like a message it pulled.

    A kill between the two writes leaves it in both places: it is taken in, and sending it back once
    more costs a skip.

    Raises:
        ConfigError: there is no sensor for it, or the store does not let us write.
        MessageError: it cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    if isinstance(found, Unreadable):
        raise found.error
    sensor = to(found)
    # The entity beside the letter: a takedown finds it without decoding.
    letter = {"entity": found.entity, **found.letter.to_json()}
    store.put(f"{replay_prefix(sensor)}{found.id}{SUFFIX}", json.dumps(letter).encode())
    # It is on its way; from here on the sensor may have failed with it and put it here again.
    if _read(store, Kept(found.id, found.path, 0)) == found:
        store.delete(found.path)


def on_their_way(store: ObjectStore) -> list[Kept]:
    """The letters that were sent back and that no sensor has taken in yet, sorted.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    return all_kept(store, REPLAY_PREFIX)


def _read(store: ObjectStore, place: Kept) -> DeadLetter | Unreadable | None:
    """What lies there; None if it is gone."""
    if place.size > _MOST_BYTES:
        return _unreadable(store, place, f"it is larger than any message ({place.size:,} bytes)")
    data = store.get_or_none(place.path)
    if data is None:
        return None
    try:
        found = DeadLetter.from_bytes(data)
    except ValueError as error:
        return _unreadable(store, place, f"it is torn or no dead letter ({error})")
    if found.path != place.path:
        return _unreadable(store, place, f"it belongs to {found.path}")
    return found


def _unreadable(store: ObjectStore, place: Kept, why: str) -> Unreadable:
    fix = f"look at it; `klio dead-letter drop {quote(place.name)}` removes it"
    return Unreadable(place, MessageError(why, where=store.uri(place.path), fix=fix))
