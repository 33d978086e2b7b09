"""What a transform receives and what it may return beside its bare value."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entity:
    """One item of the catalogue, as a transform sees it.

    Args:
        id: the entity id: the partition key in Dagster, and what names the entity's files.
    """

    id: str

    def __str__(self) -> str:
        return self.id


def _no_metadata() -> dict[str, str | int | float | bool]:
    return {}


def _no_figures() -> dict[str, bytes]:
    return {}


@dataclass(frozen=True, slots=True)
class Result:
    """A transform's value with what the UI should show beside it.

    Args:
        value: what the output codec stores.
        metadata: name to text, number or truth value, shown on the partition's page.
        figures: name to PNG bytes; those of at most 700 bytes are shown inline.
    """

    value: object
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=_no_metadata)
    figures: Mapping[str, bytes] = field(default_factory=_no_figures)
