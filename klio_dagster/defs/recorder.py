"""Writes receipts to the ledger in batches while the driver goes on."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from klio_dagster.core.fold import fold_work
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.summary import Summary
from klio_dagster.engine.progress import Progress
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.ledger import Ledger

_MOST_HELD = 1000
_LONGEST_HELD_S = 1.0
_HELD_FOR_A_FLUSH = 20.0  # times what the last one took: opening Dagster's log costs more than
# writing a few events to it, and where all cores compute, that time is theirs
_SAID_EVERY_S = 5.0


class _Finished(NamedTuple):
    """Of two of a pair the greater one stands."""

    is_good: bool
    at: float


class Recorder:
    """Takes receipts as they come and sees them recorded, counted and said.

    Args:
        ledger: Dagster's log.
        run: the run they are recorded under.
        summary: counts them.
        progress: measures them.
        say: takes a line for the run's log, every few seconds.
        watch: told after each batch, for a live bar.
        confirm: returns if the run may still write.
        then: told of receipts once they are recorded.
        may_repeat: what is computed elsewhere may come twice, from two processes that did not know
            of each other. The later output is recorded, for it is the one that is there; it counts
            once. An output stands, whatever failed beside it (`fold_work`).
    """

    def __init__(
        self,
        ledger: Ledger,
        run: RunIdentity,
        summary: Summary,
        progress: Progress,
        *,
        say: Callable[[str], None],
        watch: Callable[[Progress], None],
        confirm: Callable[[], None],
        then: Callable[[Sequence[Receipt]], None],
        may_repeat: bool = False,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._summary = summary
        self._progress = progress
        self._say = say
        self._watch = watch
        self._confirm = confirm
        self._then = then
        self._held: list[Receipt] = []
        self._held_since = self._said_at = time.monotonic()
        self._hold_s = _LONGEST_HELD_S
        # By hashes: there may be millions.
        self._finished: dict[int, _Finished] | None = {} if may_repeat else None
        self._again: list[Receipt] = []

    def add(self, receipts: Sequence[Receipt]) -> None:
        """Take receipts; they are recorded when there are many, or after some seconds."""
        self._confirm()
        now = time.monotonic()
        if not self._held:
            self._held_since = now
        receipts = self._news(receipts)
        self._held.extend(receipts)
        self._progress.add(receipts)
        self._watch(self._progress)
        if self._progress.has_begun and now - self._said_at >= _SAID_EVERY_S:
            self._said_at = now
            self._say(str(self._progress))
        # Once all has come there is nothing to wait for, not even the driver's end.
        is_all = bool(self._held) and not self._progress.left
        if is_all or len(self._held) >= _MOST_HELD or now - self._held_since >= self._hold_s:
            self.flush()

    def _news(self, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
        if self._finished is None:
            return receipts
        news: list[Receipt] = []
        for receipt in receipts:
            mark = hash(receipt.pair)
            before = self._finished.get(mark)
            this = _Finished(receipt.failure is None, receipt.finished_at)
            if before is None:
                news.append(receipt)
            elif this > before:
                self._again.append(receipt)
            self._finished[mark] = max(this, before or this)
        return news

    def flush(self) -> None:
        """Record what is held."""
        if self._held or self._again:
            self._confirm()
            started = time.monotonic()
            again, self._again = self._again, []
            both = fold_work([*self._held, *again]).values() if again else self._held
            self._ledger.record(self._run, list(both))
            self._summary.add(self._held)
            self._summary.make_good(again)
            took = time.monotonic() - started
            self._hold_s = max(_LONGEST_HELD_S, _HELD_FOR_A_FLUSH * took)
            recorded, self._held = [*self._held, *again], []
            self._then(recorded)
