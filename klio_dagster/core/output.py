"""How a value becomes stored bytes and comes back: the protocol every output codec answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from klio_dagster.core.check import Evaluation, Severity
from klio_dagster.core.values import Json as Json
from klio_dagster.core.values import Scalar as Scalar


class Reload:
    """Says that every consumer loads the stored bytes anew."""


RELOAD: Final = Reload()


def _no_metadata() -> dict[str, Scalar]:
    return {}


def _no_figures() -> dict[str, bytes]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table, as the UI shows it.

    Args:
        name: of the column.
        type: `double`, `string`.
        description: from the schema; empty without one.
        nullable: values may be missing.
        unique: no value twice.
        constraints: what else its values promise, readable: `>= 0`.
    """

    name: str
    type: str
    description: str = ""
    nullable: bool = True
    unique: bool = False
    constraints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraints", tuple(self.constraints))  # read back, it was a list

    def to_json(self) -> dict[str, Any]:
        """As it stands in a receipt, without what is not said."""
        said = {"description": self.description, "constraints": list(self.constraints)}
        fields: dict[str, Any] = {"name": self.name, "type": self.type}
        fields |= {name: value for name, value in said.items() if value}
        if not self.nullable:
            fields["nullable"] = False
        if self.unique:
            fields["unique"] = True
        return fields


@dataclass(frozen=True, slots=True)
class Dumped:
    """A value made ready for the store.

    Args:
        data: the bytes to store; equal values give equal bytes, in every process.
        value: what `load(data)` would give, cheaper; it must not be changeable by those who get
            it. `RELOAD` where that cannot be had: then each consumer loads `data` anew.
        metadata: what the UI shows of the value.
        figures: name to PNG bytes, at most 700 bytes each.
        evaluations: what the codec itself promises of its values, and that it looked.
        columns: of a table.
    """

    data: bytes
    value: object = RELOAD
    metadata: Mapping[str, Scalar] = field(default_factory=_no_metadata)
    figures: Mapping[str, bytes] = field(default_factory=_no_figures)
    evaluations: Sequence[Evaluation] = ()
    columns: Sequence[Column] = ()


@runtime_checkable
class OutputCodec(Protocol):
    """Stores and loads one kind of value."""

    @property
    def name(self) -> str:
        """The name the codec has in a manifest, `array` for instance."""
        ...

    @property
    def suffix(self) -> str:
        """The end of the file name, with its dot."""
        ...

    def dump(self, value: object) -> Dumped:
        """The value as bytes to store.

        Raises:
            EntityError: the value is not of the kind this codec stores.
            CheckFailedError: the value breaks a blocking check of the codec itself.
        """
        ...

    def load(self, data: bytes, where: str) -> object:
        """The value that was stored.

        Args:
            data: the stored bytes.
            where: the object they came from, for the error message.

        Raises:
            EntityError: the bytes are not what this codec writes.
        """
        ...

    def to_json(self) -> dict[str, Json]:
        """The parameters, from which `codecs.registry.codec_from_json` makes an equal codec."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A check as a definition shows it, and what its code version counts.

    Args:
        name: of the check.
        severity: what becomes of a value that does not pass.
        description: shown in the UI.
        version: changes when what is promised changes.
    """

    name: str
    severity: Severity
    description: str
    version: str


@runtime_checkable
class PromisingCodec(Protocol):
    """A codec that checks its values itself: `Table` with a schema."""

    @property
    def promises(self) -> Sequence[Promise]:
        """What it checks in `dump`."""
        ...
