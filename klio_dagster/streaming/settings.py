"""What a message sensor is made with, and how others find that again."""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from klio_dagster.core.request import RerunOn
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals.definitions import evaluation_of
from klio_dagster.message import Decoder

_ATTRIBUTE = "__klio_messages__"
_WHERE = "build_klio_pubsub_sensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSettings:
    """Options of one message sensor, checked.

    Args:
        name: of the sensor and of the job it requests.
        group: whose entities are asked for.
        subscription: short name or full path.
        pubsub: Pub/Sub's settings; None: those of the group's `KlioResource`.
        decoder: what messages are.
        max_messages: of one batch, >= 1.
        max_bytes: of one batch, >= 1.
        max_inbox_batches: nothing is pulled while so many are unfinished, >= 1.
        rerun_on: which changes make finished work stale.
        priority: of its runs in Dagster's queue.

    Raises:
        ConfigError: a number is below 1, the decoder is none, or the subscription has no name.
    """

    name: str
    group: EntityGroup
    subscription: str
    pubsub: KlioPubSubResource | None
    decoder: Decoder
    max_messages: int
    max_bytes: int
    max_inbox_batches: int
    rerun_on: frozenset[RerunOn]
    priority: int

    def __post_init__(self) -> None:
        for name in ("max_messages", "max_bytes", "max_inbox_batches"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(f"{name} is {value}", where=_WHERE, fix="use 1 or more")
        if not callable(self.decoder):
            fix = "use PlainIds(), JsonField(...), StorageNotifications(), or a function"
            raise ConfigError(f"decoder is {self.decoder!r}", where=_WHERE, fix=fix)
        if not self.subscription:
            raise ConfigError("subscription is empty", where=_WHERE, fix="name a subscription")

    @property
    def metadata(self) -> dict[str, str]:
        """What people read of the sensor in Dagster's UI."""
        return {"klio/subscription": self.subscription, "klio/group": self.group.name}


def attach(evaluate: object, settings: SensorSettings) -> None:
    """Leave the settings where `message_sensors` finds them: on the function that Dagster keeps."""
    setattr(evaluate, _ATTRIBUTE, settings)


def message_sensors(sensors: Iterable[dg.SensorDefinition]) -> dict[str, SensorSettings]:
    """The message sensors among these, by name."""
    found: dict[str, SensorSettings] = {}
    for sensor in sensors:
        settings = getattr(evaluation_of(sensor), _ATTRIBUTE, None)
        if isinstance(settings, SensorSettings):
            found[sensor.name] = settings
    return found
