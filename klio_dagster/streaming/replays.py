"""Dead letters on their way back: a tick takes them in like what it pulled."""

import json
from collections.abc import Callable, Iterator

from klio_dagster.core.letter import Letter
from klio_dagster.errors import ConfigError
from klio_dagster.store.layout import replay_prefix
from klio_dagster.store.store import Store


def replays(store: Store, sensor: str) -> Iterator[tuple[Letter, Callable[[], None]]]:
    """The letters sent back to a sensor, each with what lets go of it.

    Raises:
        ConfigError: one cannot be read, or the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    for info in store.list(replay_prefix(sensor)):
        data = store.get_or_none(info.path)
        if data is None:
            continue
        try:
            letter = Letter.from_json(json.loads(data))
        except ValueError as error:
            raise ConfigError(
                f"it is no letter ({error})", where=store.uri(info.path), fix="remove it"
            ) from error
        yield letter, lambda path=info.path: store.delete(path)
