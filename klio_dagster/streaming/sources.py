"""Objects of Cloud Storage to entities, by the source patterns of a group."""

from collections.abc import Callable
from dataclasses import replace

from klio_dagster.errors import ConfigError
from klio_dagster.message import StorageNotifications
from klio_dagster.store.sources import SourcePattern
from klio_dagster.store.store import Store
from klio_dagster.streaming.settings import SensorSettings

_BUCKETS = "gs://"


def bound(settings: SensorSettings, store: Store) -> SensorSettings:
    """The settings with a decoder that knows which object is whose.

    Raises:
        ConfigError: it reads notifications of Cloud Storage, and no source lies there.
    """
    decoder = settings.decoder
    if not isinstance(decoder, StorageNotifications) or decoder.entity_of is not None:
        return settings
    entity_of = entity_by_source(settings, store)
    return replace(settings, decoder=StorageNotifications(entity_of=entity_of))


def entity_by_source(settings: SensorSettings, store: Store) -> Callable[[str, str], str | None]:
    """What finds the entity of a bucket's object.

    Raises:
        ConfigError: no source lies in Cloud Storage.
    """
    folders: list[tuple[str, SourcePattern]] = []
    for text in settings.group.sources:
        pattern = SourcePattern.parse(text)
        folder = pattern.root or store.url.rstrip("/")
        if folder.startswith(_BUCKETS):
            folders.append((f"{folder.removeprefix(_BUCKETS)}/", pattern))
    if not folders:
        raise ConfigError(
            "no source of the group lies in Cloud Storage",
            where=f"sensor '{settings.name}'",
            fix="give the asset a source like 'gs://bucket/tracks/{entity}.flac', or the decoder"
            " entity_of",
        )

    def entity_of(bucket: str, name: str) -> str | None:
        location = f"{bucket}/{name}"
        for folder, pattern in folders:
            if location.startswith(folder):
                rest = location.removeprefix(folder)
                if (entity := pattern.entity_at(rest)) is not None:
                    return entity
        return None

    return entity_of
