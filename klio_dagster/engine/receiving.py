"""Receipts as the run's side takes them while a driver goes on."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from klio_dagster.core.receipt import Receipt
from klio_dagster.errors import StoreUnavailableError
from klio_dagster.store.receipts import ReceiptTail

OnReceipts = Callable[[list[Receipt]], None]


def so_far(tail: ReceiptTail) -> Iterator[list[Receipt]]:
    """New receipts, if it is time to look; a store that does not answer is asked again later."""
    with suppress(StoreUnavailableError):
        if tail.is_due:
            yield from tail.new()
