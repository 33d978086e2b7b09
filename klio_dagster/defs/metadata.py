"""What the UI shows of a receipt, within its limits."""

import math
from base64 import b64encode

import dagster as dg

from klio_dagster.core.output import Scalar
from klio_dagster.core.receipt import Receipt
from klio_dagster.ledger.events import attempts_of, storable

_SHOWN_BYTES = 20_000  # of a figure: a page of the UI loads those of all events it shows
_DIGITS = 6
_DIGITS_OF_TIMES = 3


def metadata_of(receipt: Receipt) -> dict[str, dg.MetadataValue]:
    """Figures first, then what was measured, then where it lies and what it cost.

    Figures of at most 700 bytes stay below the 1,000 characters that the UI shows in place; larger
    ones it opens in a dialog, and one over 20,000 bytes is only named.
    """
    shown: dict[str, dg.MetadataValue] = {}
    for name, png in receipt.figures.items():
        shown[name] = _picture(name, png)
    for name, value in receipt.metadata.items():
        shown[name] = _value(value)
    shown["bytes"] = dg.MetadataValue.int(receipt.size)
    for name, seconds in (
        ("seconds", receipt.finished_at - receipt.started_at),
        ("cpu_seconds", receipt.cpu_s),
    ):
        shown[name] = dg.MetadataValue.float(_rounded(seconds, _DIGITS_OF_TIMES))
    shown |= attempts_of(receipt)
    shown["uri"] = dg.MetadataValue.path(receipt.uri)
    shown["codec"] = dg.MetadataValue.json(dict(receipt.codec))
    return shown


def _picture(name: str, png: bytes) -> dg.MetadataValue:
    if len(png) > _SHOWN_BYTES:
        return dg.MetadataValue.text(f"a figure of {len(png)} bytes: too large for this page")
    alt = name.replace("[", "(").replace("]", ")")
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{b64encode(png).decode()})")


def _value(value: Scalar) -> dg.MetadataValue:
    match value:
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            if not math.isfinite(value):  # the web page's GraphQL has no such number
                return dg.MetadataValue.text(str(value))
            return dg.MetadataValue.float(_rounded(value, _DIGITS))
        case str():
            return dg.MetadataValue.text(storable(value))


def _rounded(value: float, digits: int) -> float:
    """So many significant digits: the UI would show seventeen."""
    if value == 0:
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))
