"""How far a run is: done, failed, left, rate and time to go, from its receipts."""

from collections.abc import Callable, Iterable

from klio_dagster.core.receipt import Receipt

_SETTLED_S = 1.0  # a rate over less than this says nothing


class Progress:
    """Counts the receipts of a run.

    Args:
        total: (asset, entity) pairs to compute.
        clock: monotonic clock, seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        self.total = total
        self.done = 0
        self.failed = 0
        self._clock = clock
        self._began: float | None = None

    def add(self, receipts: Iterable[Receipt]) -> None:
        """Count receipts; the first ones start the clock, so that start-up does not count."""
        receipts = list(receipts)
        if self._began is None and receipts:
            self._began = self._clock()
        for receipt in receipts:
            if receipt.failure:
                self.failed += 1
            else:
                self.done += 1

    @property
    def has_begun(self) -> bool:
        """There is a receipt."""
        return self._began is not None

    @property
    def left(self) -> int:
        """Pairs without a receipt."""
        return max(0, self.total - self.done - self.failed)

    @property
    def rate_per_s(self) -> float | None:
        """Receipts a second since the first; None before it can be told."""
        elapsed = 0.0 if self._began is None else self._clock() - self._began
        return (self.done + self.failed) / elapsed if elapsed >= _SETTLED_S else None

    @property
    def eta_s(self) -> float | None:
        """Seconds to go at the present rate; None before it can be told."""
        return self.left / self.rate_per_s if self.rate_per_s else None

    def __str__(self) -> str:
        text = f"{self.done} done, {self.failed} failed, {self.left} left of {self.total}"
        if self.rate_per_s is not None and self.eta_s is not None:
            text += f", {self.rate_per_s:.1f}/s, about {self.eta_s:.0f} s to go"
        return text
