"""Who else sends messages: plain ids, JSON, and Cloud Storage when an object is written."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from klio_dagster.core.job import JobId
from klio_dagster.errors import ConfigError, MessageError
from klio_dagster.message.message import Message
from klio_dagster.message.routing import Dropped
from klio_dagster.message.wire import decode, plain_id, received_by

_WRITTEN = "OBJECT_FINALIZE"


class Decoder(Protocol):
    """Reads what was received.

    The messages of all but Klio's are of version 2 and for anyone.
    """

    def __call__(self, data: bytes, attributes: Mapping[str, str], job: JobId) -> Message | Dropped:
        """The message.

        Args:
            data: as received.
            attributes: Pub/Sub's.
            job: who received it.

        Raises:
            MessageError: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class KlioDecoder:
    """Klio's protobuf.

    Args:
        allow_non_klio: bytes that are no Klio message are the entity id itself.
    """

    allow_non_klio: bool = False

    def __call__(
        self,
        data: bytes,
        attributes: Mapping[str, str],  # noqa: ARG002 - the protocol
        job: JobId,
    ) -> Message:
        """The message.

        Raises:
            MessageError: it is no Klio message, or one that names no entity.
        """
        return decode(data, job=job, allow_non_klio=self.allow_non_klio)


@dataclass(frozen=True, slots=True)
class PlainIds:
    """Each message is an entity id, as UTF-8, and nothing else, not even a line break."""

    def __call__(
        self,
        data: bytes,
        attributes: Mapping[str, str],  # noqa: ARG002 - the protocol
        job: JobId,
    ) -> Message:
        """The message.

        Raises:
            MessageError: it is empty or not UTF-8.
        """
        return plain_id(data, job)


@dataclass(frozen=True, slots=True)
class JsonField:
    """Each message is a JSON object in which a field is the entity id.

    Args:
        path: names of fields from the outermost inwards, with dots between: `track.id`. The last
            one holds text or a whole number.

    Raises:
        ConfigError: the path has an empty name.
    """

    path: str

    def __post_init__(self) -> None:
        if not all(self.path.split(".")):
            raise ConfigError(
                f"path is {self.path!r}", where="JsonField", fix="name fields: track.id"
            )

    def __call__(
        self,
        data: bytes,
        attributes: Mapping[str, str],  # noqa: ARG002 - the protocol
        job: JobId,
    ) -> Message:
        """The message.

        Raises:
            MessageError: it is not JSON, or has no such field, or there is no id in it.
        """
        where = received_by(job)
        try:
            value: object = json.loads(data.decode())
        except (ValueError, RecursionError) as error:
            raise MessageError("it is not JSON in UTF-8", where, "send a JSON object") from error
        for name in self.path.split("."):
            if not isinstance(value, dict) or name not in value:
                raise MessageError(
                    f"it has no field {self.path!r}", where, "send the entity id there"
                )
            value = cast("dict[str, Any]", value)[name]
        match value:
            case str() if value:
                return Message(entity_id=value, raw=data)
            case int() if not isinstance(value, bool):
                return Message(entity_id=str(value), raw=data)
            case _:
                raise MessageError(
                    f"its field {self.path!r} holds no id", where, "send text or a whole number"
                )


@dataclass(frozen=True, slots=True)
class StorageNotifications:
    """Each message is Cloud Storage's word of an object that was written: an upload is the start.

    Other events than OBJECT_FINALIZE are dropped (`event_type`), and objects that are no entity's
    (`no_source`).

    Args:
        entity_of: the entity id of a bucket's object, or None. The sensor takes the group's
            `source` pattern when it is not given.
    """

    entity_of: Callable[[str, str], str | None] | None = None

    def __call__(self, data: bytes, attributes: Mapping[str, str], job: JobId) -> Message | Dropped:
        """The message.

        Raises:
            MessageError: it is no notification of Cloud Storage.
            ConfigError: nobody said which object is whose.
        """
        try:
            event, bucket, name = (attributes[key] for key in ("eventType", "bucketId", "objectId"))
        except KeyError as error:
            raise MessageError(
                f"it has no attribute {error.args[0]}",
                where=received_by(job),
                fix="send Cloud Storage's notifications to this topic, and nothing else",
            ) from error
        if event != _WRITTEN:
            return Dropped("event_type")
        if self.entity_of is None:
            raise ConfigError(
                "entity_of is not given", where="StorageNotifications", fix="give it a function"
            )
        entity = self.entity_of(bucket, name)
        return Dropped("no_source") if entity is None else Message(entity_id=entity, raw=data)
