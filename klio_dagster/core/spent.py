"""Where the time of a run went: seconds by asset, and the slowest entity of each."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from klio_dagster.core.receipt import Receipt

_DIGITS = 3


@dataclass(slots=True)
class Spent:
    """What the workers spent on one asset, each entity's last attempt.

    Args:
        outputs: attempts counted, also those that failed.
        seconds: on the clock of the worker that made them, added up over all workers.
        cpu_s: seconds of CPU, those of a worker that died not among them.
        slowest: entity that took longest; empty before the first.
        slowest_s: how long that took.
    """

    outputs: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    slowest: str = ""
    slowest_s: float = 0.0

    def add(self, receipt: Receipt) -> None:
        """Count an attempt; of a batch, this entity's part of it."""
        seconds = max(0.0, receipt.finished_at - receipt.started_at) / receipt.together
        self.outputs += 1
        self.seconds += seconds
        self.cpu_s += receipt.cpu_s
        if not self.slowest or seconds > self.slowest_s:
            self.slowest, self.slowest_s = receipt.entity, seconds

    @property
    def outputs_per_s(self) -> float | None:
        """How many one worker makes in a second; None where the clock saw no time pass."""
        return self.outputs / self.seconds if self.seconds else None

    def to_json(self) -> dict[str, Any]:
        """As it stands in a run's summary."""
        rate = self.outputs_per_s
        return {
            "outputs": self.outputs,
            "seconds": round(self.seconds, _DIGITS),
            "cpu_s": round(self.cpu_s, _DIGITS),
            "outputs_per_s": None if rate is None else round(rate, _DIGITS),
            "slowest": {"entity": self.slowest, "seconds": round(self.slowest_s, _DIGITS)},
        }


@dataclass(slots=True)
class Findings:
    """What the checks of a run found.

    Args:
        counted: (asset, check, `passed` or `warned` or `failed`) to how many entities.
    """

    counted: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])

    def add(self, receipt: Receipt) -> None:
        """Count every check of a receipt, also of one that failed because of them."""
        for each in receipt.checks:
            found = "passed" if each.passed else "failed" if each.rejects else "warned"
            self.counted[receipt.asset, each.check, found] += 1

    def to_json(self) -> dict[str, dict[str, dict[str, int]]]:
        """Asset to check to how many passed, warned and failed."""
        told: dict[str, dict[str, dict[str, int]]] = {}
        for (asset, check, found), number in sorted(self.counted.items()):
            counts = told.setdefault(asset, {}).setdefault(
                check, {"passed": 0, "warned": 0, "failed": 0}
            )
            counts[found] = number
        return told


def was_attempted(receipt: Receipt) -> bool:
    """Something was computed or looked at; a plan's failures and what they block was not."""
    return receipt.started_at > 0 and not (receipt.failure and receipt.failure.is_blocked)
