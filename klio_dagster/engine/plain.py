"""What user code hands over for the UI, as plain values that can be written down."""

from collections.abc import Mapping
from typing import Any

from klio_dagster.core.output import Scalar
from klio_dagster.errors import EntityError


def pictures(figures: Mapping[Any, object]) -> dict[str, bytes]:
    """A transform's figures as PNG bytes by name.

    Raises:
        EntityError: something else is in it.
    """
    for name, png in figures.items():
        if not isinstance(name, str) or not isinstance(png, bytes):
            raise EntityError(
                f"figure {name!r} is {type(png).__name__}", where="Result", fix="use PNG bytes"
            )
    return {name: png for name, png in figures.items() if isinstance(png, bytes)}


def plain(metadata: Mapping[Any, object], where: str = "Result") -> dict[str, Scalar]:
    """Metadata as text, numbers and truth values; numpy's scalars are converted.

    Raises:
        EntityError: something else is in it.
    """
    found: dict[str, Scalar] = {}
    for name, value in metadata.items():
        scalar = value.item() if hasattr(value, "item") else value  # pyright: ignore
        if not isinstance(name, str) or not isinstance(scalar, str | int | float | bool):
            raise EntityError(
                f"metadata {name!r} is {type(value).__name__}",
                where=where,
                fix="use text, numbers or truth values",
            )
        found[name] = scalar
    return found
