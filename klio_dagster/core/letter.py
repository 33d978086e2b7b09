"""`Letter`: a message as it is kept; `Asked`: what messages ask of one entity, a line of the inbox.

What is kept elsewhere says which sensor took it in: `TakenIn`. All are opaque here: what stands in
a message is the business of `klio_dagster.message`.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, cast

from klio_dagster.core.ids import id_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One received message.

    Args:
        data: its bytes as they came.
        attributes: Pub/Sub's.
        message_id: Pub/Sub's; empty for a message that nobody sent.
        published_at: when it was sent, seconds since the epoch.
        forward: the Klio message that is passed on once its entity is recorded, without the audit
            entry of this job; empty before it was accepted.
    """

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    message_id: str = ""
    published_at: float = 0.0
    forward: bytes = b""

    @property
    def id(self) -> str:
        """Tells it from all others; a redelivered message has the same."""
        told = json.dumps([self.message_id, sorted(self.attributes.items())]).encode()
        return sha256(told + b"\0" + self.data).hexdigest()[:24]

    def to_json(self) -> dict[str, Any]:
        """The letter as plain values; bytes in base64."""
        fields: dict[str, Any] = {"data": b64encode(self.data).decode()}
        if self.forward and self.forward != self.data:
            fields["forward"] = b64encode(self.forward).decode()
        elif self.forward:
            fields["forward"] = None  # the same bytes
        if self.attributes:
            fields["attributes"] = dict(self.attributes)
        if self.message_id:
            fields["message_id"] = self.message_id
        if self.published_at:
            fields["published_at"] = self.published_at
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Letter":
        """The letter that plain values describe.

        Raises:
            ValueError: they describe none.
        """
        try:
            data = b64decode(fields["data"], validate=True)
            forward = b""
            if "forward" in fields:
                again = fields["forward"]
                forward = data if again is None else b64decode(again, validate=True)
            return cls(
                data=data,
                attributes=dict(fields.get("attributes", {})),
                message_id=fields.get("message_id", ""),
                published_at=fields.get("published_at", 0.0),
                forward=forward,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a letter: {error!r}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What messages ask of one entity.

    Args:
        entity: entity id.
        letters: the messages, in the order they came.
        force: one of them wants it computed although it is up to date.
        ping: all of them are only passed on.
        waits_for: work ids of the claims that held it when it was its turn.
    """

    entity: str
    letters: tuple[Letter, ...] = ()
    force: bool = False
    ping: bool = False
    waits_for: tuple[str, ...] = ()

    def to_line(self) -> str:
        """As one line of JSON, with its newline."""
        fields: dict[str, Any] = {"entity": self.entity}
        if self.force:
            fields["force"] = True
        if self.ping:
            fields["ping"] = True
        if self.waits_for:
            fields["waits_for"] = list(self.waits_for)
        fields["letters"] = [letter.to_json() for letter in self.letters]
        return json.dumps(fields, separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str | bytes) -> "Asked":
        """What a line holds.

        Raises:
            ValueError: it is no such line.
        """
        try:
            fields = cast("dict[str, Any]", json.loads(line))
            entity: object = fields["entity"]
            problem = id_problem(entity) if isinstance(entity, str) else "it is no text"
            if problem is not None:
                raise ValueError(f"its entity is no id: {problem}")
            return cls(
                entity=str(entity),
                letters=tuple(Letter.from_json(each) for each in fields.get("letters", ())),
                force=bool(fields.get("force", False)),
                ping=bool(fields.get("ping", False)),
                waits_for=tuple(fields.get("waits_for", ())),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a line of an inbox: {error!r}") from error

    def waiting_for(self, works: tuple[str, ...]) -> "Asked":
        """The same, once those who hold it have ended."""
        return replace(self, waits_for=works)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """Messages of one entity, and the sensor that took them in.

    Args:
        sensor: its name; empty where no sensor did.
        asked: the messages.
    """

    sensor: str = ""
    asked: Asked

    def to_line(self) -> str:
        """As one line of JSON, with its newline: a line of an inbox that says more."""
        fields = {"sensor": self.sensor, **json.loads(self.asked.to_line())}
        return json.dumps(fields, separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str | bytes) -> "TakenIn":
        """What a line holds.

        Raises:
            ValueError: it is no such line.
        """
        asked = Asked.from_line(line)
        return cls(sensor=str(json.loads(line).get("sensor", "")), asked=asked)
