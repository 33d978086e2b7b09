"""What the UI shows of a receipt, within its limits."""

import math
from base64 import b64encode

import dagster as dg

from klio_dagster.core.output import Scalar
from klio_dagster.core.receipt import Receipt

_INLINE_CHARACTERS = 1000  # the UI shows shorter markdown in place, longer in a dialog
_DIGITS = 6


def metadata_of(receipt: Receipt) -> dict[str, dg.MetadataValue]:
    """Figures first, then what was measured, then where it lies and what it cost."""
    shown: dict[str, dg.MetadataValue] = {}
    for name, png in receipt.figures.items():
        text = f"![{name}](data:image/png;base64,{b64encode(png).decode()})"
        if len(text) < _INLINE_CHARACTERS:
            shown[name] = dg.MetadataValue.md(text)
    for name, value in receipt.metadata.items():
        shown[name] = _value(value)
    shown["bytes"] = dg.MetadataValue.int(receipt.size)
    shown["seconds"] = dg.MetadataValue.float(_rounded(receipt.finished_at - receipt.started_at))
    shown["cpu_seconds"] = dg.MetadataValue.float(_rounded(receipt.cpu_s))
    shown["uri"] = dg.MetadataValue.path(receipt.uri)
    shown["codec"] = dg.MetadataValue.json(dict(receipt.codec))
    return shown


def _value(value: Scalar) -> dg.MetadataValue:
    match value:
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            return dg.MetadataValue.float(_rounded(value))
        case str():
            return dg.MetadataValue.text(value)


def _rounded(value: float) -> float:
    """Six significant digits: the UI would show seventeen."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, _DIGITS - 1 - math.floor(math.log10(abs(value))))
