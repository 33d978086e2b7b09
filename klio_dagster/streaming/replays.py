"""Dead letters on their way back: a tick takes them in like what it pulled."""

import json
from collections.abc import Callable, Iterator

from klio_dagster.core.letter import Letter
from klio_dagster.store.layout import replay_prefix
from klio_dagster.store.store import Store


def replays(
    store: Store, sensor: str, warn: Callable[[str], None]
) -> Iterator[tuple[Letter, Callable[[], None]]]:
    """The letters sent back to a sensor, each with what lets go of it.

    Args:
        store: where they lie.
        sensor: name of the sensor.
        warn: told of what is no letter; it stays where it is, and stops no other.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    for info in store.list(replay_prefix(sensor)):
        data = store.get_or_none(info.path)
        if data is None:
            continue
        try:
            letter = Letter.from_json(json.loads(data))
        except ValueError as error:
            warn(f"{store.uri(info.path)}: it is no letter ({error}); remove it")
            continue
        yield letter, lambda path=info.path: store.delete(path)
