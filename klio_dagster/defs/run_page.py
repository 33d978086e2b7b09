"""What the page of a run shows of it: tables by asset, as one event among its log."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from klio_dagster.core.ids import printable
from klio_dagster.defs.summary import COUNTS, Summary
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.internals.run_log import note

_TITLE = "What was done, why, and where the time went"


def show_on_page(
    context: dg.AssetExecutionContext, identity: RunIdentity, summary: Summary, list_uri: str
) -> None:
    """Put what the run did into its log: a line with the counts, and tables where that can be.

    Args:
        context: of the op.
        identity: the run.
        summary: of everything it did.
        list_uri: where the full list of failures lies; not shown where nothing failed.
    """
    context.log.info(str(summary))
    note(context.instance, identity, _TITLE, tables(summary, list_uri))


def tables(summary: Summary, list_uri: str) -> dict[str, dg.MetadataValue]:
    """Counts, reasons, time and checks by asset; a table that would be empty is left out."""
    told = summary.to_json("", 0.0)
    rows = {
        "assets": [
            {"asset": key, **{name: counts[name] for name in COUNTS}}
            for key, counts in told["assets"].items()
        ],
        "where_the_time_went": list(_spent(told["spent"])),
        "reasons": [
            {"asset": key, "decision": decision, "reason": reason, "entities": number}
            for key, decided in told["reasons"].items()
            for decision, reasons in decided.items()
            for reason, number in reasons.items()
        ],
        "checks": [
            {"asset": key, "check": check, **counts}
            for key, checks in told["checks"].items()
            for check, counts in checks.items()
        ],
    }
    shown = {name: _table(records) for name, records in rows.items() if records}
    if summary.has_failures:
        shown["full_list_of_failures"] = dg.MetadataValue.path(list_uri)
    return shown


def _spent(spent: Mapping[str, Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    total = sum(each["seconds"] for each in spent.values())
    for key, each in spent.items():
        slowest = each["slowest"]
        yield {
            "asset": key,
            "outputs": each["outputs"],
            "seconds": each["seconds"],
            "share": f"{each['seconds'] / total:.0%}" if total else "",
            "CPU seconds": each["cpu_s"],
            "outputs/s of a worker": each["outputs_per_s"] or "",
            "slowest": f"{printable(slowest['entity'])} ({slowest['seconds']} s)",
        }


def _table(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows])
