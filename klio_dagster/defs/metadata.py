"""What the UI shows of a receipt, within its limits."""

from base64 import b64encode
from functools import lru_cache

import dagster as dg

from klio_dagster.core.output import Column
from klio_dagster.core.receipt import Receipt
from klio_dagster.ledger.events import attempts_of, rounded, shown

_SHOWN_BYTES = 20_000  # of a figure: a page of the UI loads those of all events it shows
_DIGITS_OF_TIMES = 3


def metadata_of(receipt: Receipt) -> dict[str, dg.MetadataValue]:
    """Figures first, then what was measured, then where it lies and what it cost.

    Figures of at most 700 bytes stay below the 1,000 characters that the UI shows in place; larger
    ones it opens in a dialog, and one over 20,000 bytes is only named.
    """
    told: dict[str, dg.MetadataValue] = {}
    for name, png in receipt.figures.items():
        told[name] = _picture(name, png)
    for name, value in receipt.metadata.items():
        told[name] = shown(value)
    if receipt.columns:
        told["dagster/column_schema"] = _column_schema(tuple(receipt.columns))
    told["bytes"] = dg.MetadataValue.int(receipt.size)
    for name, seconds in (
        ("seconds", receipt.finished_at - receipt.started_at),
        ("cpu_seconds", receipt.cpu_s),
    ):
        told[name] = dg.MetadataValue.float(rounded(seconds, _DIGITS_OF_TIMES))
    told |= attempts_of(receipt)
    told["uri"] = dg.MetadataValue.path(receipt.uri)
    told["codec"] = dg.MetadataValue.json(dict(receipt.codec))
    return told


def _picture(name: str, png: bytes) -> dg.MetadataValue:
    if len(png) > _SHOWN_BYTES:
        return dg.MetadataValue.text(f"a figure of {len(png)} bytes: too large for this page")
    alt = name.replace("[", "(").replace("]", ")")
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{b64encode(png).decode()})")


@lru_cache(maxsize=256)  # the same for all entities of an asset
def _column_schema(columns: tuple[Column, ...]) -> dg.MetadataValue:
    return dg.MetadataValue.table_schema(
        dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name=column.name,
                    type=column.type,
                    description=column.description or None,
                    constraints=dg.TableColumnConstraints(
                        nullable=column.nullable,
                        unique=column.unique,
                        other=list(column.constraints),
                    ),
                )
                for column in columns
            ]
        )
    )
