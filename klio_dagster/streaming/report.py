"""What a tick did, in one line."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from klio_dagster.core.letter import Asked
from klio_dagster.core.wording import counted
from klio_dagster.errors import KlioError
from klio_dagster.streaming.intake import Taken


@dataclass(slots=True)
class Report:
    """Counts of one tick.

    Args:
        taken: of the messages that came.
        registered: entities that are new in the catalogue.
        up_to_date: entities that needed no run.
        passed_on: messages that this tick published.
        dead: reason to how many became dead letters when they were to be passed on.
        outbox: files of entities that are recorded and have still to be passed on.
        requested: runs.
        depth: batches in the inbox when the tick ends.
        oldest: when the oldest message was sent that is still asked for, seconds since 1970.
        is_full: nothing was pulled: as many batches are unfinished as may be.
        asked_upstream: entities whose missing input was asked for.
        errors: what kept messages from being asked for, pulled or passed on.
    """

    taken: Taken = field(default_factory=Taken)
    registered: int = 0
    up_to_date: int = 0
    passed_on: int = 0
    dead: Counter[str] = field(default_factory=Counter[str])
    outbox: int = 0
    requested: int = 0
    depth: int = 0
    oldest: float | None = None
    is_full: bool = False
    asked_upstream: int = 0
    errors: list[KlioError] = field(default_factory=list[KlioError])

    def see(self, asked: Sequence[Asked]) -> None:
        """Take in what a batch asks for."""
        sent = [x.published_at for each in asked for x in each.letters if x.published_at]
        self.oldest = min([*sent, *([] if self.oldest is None else [self.oldest])], default=None)

    @property
    def is_idle(self) -> bool:
        """There was nothing to do, and nothing is left to be done."""
        return self.is_quiet and not (self.depth or self.outbox)

    @property
    def is_quiet(self) -> bool:
        """Nothing was done, whatever is left to be done."""
        taken = self.taken
        came = taken.pulled or taken.accepted or taken.merged or taken.dropped or taken.dead
        came = came or taken.resumed or self.asked_upstream or self.passed_on or self.dead
        return not (came or self.up_to_date or self.requested or self.errors)

    def __str__(self) -> str:
        taken = self.taken
        if self.is_idle:
            return "no messages, and the inbox is empty"
        parts = [f"pulled {taken.pulled:,}"]
        if self.is_full:
            parts = [f"nothing pulled: {self.depth:,} batches are unfinished"]
        parts += [f"accepted {taken.accepted:,}"]
        parts += [f"merged {taken.merged:,}"] if taken.merged else []
        parts += [f"dropped {n:,} ({reason})" for reason, n in sorted(taken.dropped.items())]
        dead = taken.dead + self.dead
        parts += [f"dead-lettered {n:,} ({reason})" for reason, n in sorted(dead.items())]
        asked = self.asked_upstream
        parts += [f"inputs asked for upstream {asked:,}"] if asked else []
        parts += [f"inputs came {taken.resumed:,}"] if taken.resumed else []
        parts += [
            f"new entities {self.registered:,}",
            f"up to date {self.up_to_date:,}",
            *([f"passed on {self.passed_on:,}"] if self.passed_on else []),
            f"runs requested {self.requested:,}",
            f"inbox {self.depth:,}",
            *([f"outbox {counted(self.outbox, 'file')}"] if self.outbox else []),
        ]
        if self.oldest is not None:
            parts.append(f"oldest message {max(0.0, time.time() - self.oldest):.0f} s")
        parts += [str(error) for error in self.errors]
        return ", ".join(parts)
