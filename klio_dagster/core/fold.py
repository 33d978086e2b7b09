"""Many receipts to the newest one per (asset, entity)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from klio_dagster.core.receipt import Receipt
from klio_dagster.core.record import NO_VERSIONS, FailedAttempt, Record, Records

Folded = Mapping[tuple[str, str], Receipt]
"""(asset, entity) to its newest receipt."""


class Lines(NamedTuple):
    """What a part file holds."""

    receipts: list[Receipt]
    unread: int
    """Bytes at the end that are not a whole line: a write that was killed, or is under way."""


def read_lines(data: bytes) -> Lines:
    """The receipts of a part file; a line torn by a kill is ignored.

    A worker's next receipt after a torn one would join its line, so a broken line in the middle is
    skipped too: what it stood for has no receipt and is done again.
    """
    whole, newline, rest = data.rpartition(b"\n")
    receipts: list[Receipt] = []
    if newline:
        for line in whole.split(b"\n"):
            try:
                receipts.append(Receipt.from_line(line))
            except ValueError:
                continue
    return Lines(receipts, len(rest))


def fold(receipts: Iterable[Receipt]) -> dict[tuple[str, str], Receipt]:
    """The newest receipt of each pair, whatever the order; of equally new ones the good one.

    Of a pair that was only looked at there is a receipt, but no new record.
    """
    newest: dict[tuple[str, str], Receipt] = {}
    for receipt in receipts:
        known = newest.get(receipt.pair)
        if known is None or _goes_before(known, receipt):
            newest[receipt.pair] = receipt
    return newest


def fold_work(receipts: Iterable[Receipt]) -> dict[tuple[str, str], Receipt]:
    """The same of one work, in which an output stands whatever failed beside it.

    A service in doubt gives the same entity to a second process; the output of one is there even
    where the other one failed later.
    """
    each = list(receipts)
    made = {receipt.pair for receipt in each if receipt.failure is None}
    return fold(r for r in each if r.failure is None or r.pair not in made)


def is_news(receipt: Receipt, known: Record | None, seen: int = 0) -> bool:
    """Whether the ledger does not know yet what a receipt says.

    What stood in the ledger before the receipt's work began is older than the receipt, whatever the
    clocks said; what came later is compared by time
    (docs/adr/0015-what-is-newer-is-not-asked-of-the-wall-clock.md).

    Args:
        receipt: of some work.
        known: what the ledger knows of its pair.
        seen: where the newest event stood in the ledger when that work began.
    """
    if known is None or receipt.finished_at > known.timestamp:
        return True
    return known.event_id is not None and known.event_id <= seen


def unrecorded(folded: Folded, records: Records, seen: int = 0) -> list[Receipt]:
    """The receipts of a work that are news to the ledger, oldest first.

    Args:
        folded: one receipt a pair.
        records: what the ledger knows of the pairs.
        seen: where the newest event stood in the ledger when the work began.
    """
    fresh = [
        receipt
        for (asset, entity), receipt in folded.items()
        if is_news(receipt, records.get(asset, {}).get(entity), seen)
    ]
    return sorted(fresh, key=lambda receipt: (receipt.finished_at, receipt.pair))


def as_record(receipt: Receipt, before: Record | None) -> Record:
    """The record the ledger will hold once the receipt is written to it."""
    if receipt.is_look:
        return before or Record(materialized=False, failed=False)
    if receipt.failure:
        kept = before or Record(materialized=False, failed=True)
        attempt = FailedAttempt(receipt.failure.type, receipt.code_version, receipt.inputs)
        return kept._replace(failed=True, timestamp=receipt.finished_at, attempt=attempt)
    return Record(
        materialized=True,
        failed=False,
        code_version=receipt.code_version,
        data_version=receipt.data_version,
        input_versions=receipt.inputs or NO_VERSIONS,
        timestamp=receipt.finished_at,
    )


def _goes_before(one: Receipt, other: Receipt) -> bool:
    # A total order, so that the same receipts in any order fold to the same one.
    ranks = [(each.finished_at, each.failure is None) for each in (one, other)]
    if ranks[0] == ranks[1]:
        return one.to_line() < other.to_line()
    return ranks[0] < ranks[1]
