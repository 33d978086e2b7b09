"""How a value becomes stored bytes and comes back: the protocol every output codec answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Scalar = str | int | float | bool


class Reload:
    """Says that every consumer loads the stored bytes anew."""


RELOAD: Final = Reload()


def _no_metadata() -> dict[str, Scalar]:
    return {}


def _no_figures() -> dict[str, bytes]:
    return {}


@dataclass(frozen=True, slots=True)
class Dumped:
    """A value made ready for the store.

    Args:
        data: the bytes to store; equal values give equal bytes, in every process.
        value: what `load(data)` would give, cheaper; it must not be changeable by those who get
            it. `RELOAD` where that cannot be had: then each consumer loads `data` anew.
        metadata: what the UI shows of the value.
        figures: name to PNG bytes, at most 700 bytes each.
    """

    data: bytes
    value: object = RELOAD
    metadata: Mapping[str, Scalar] = field(default_factory=_no_metadata)
    figures: Mapping[str, bytes] = field(default_factory=_no_figures)


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
