"""What a run did, counted and listed: for the log, the `Failure`, the store and the CLI."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from klio_dagster.core.ids import printable
from klio_dagster.core.place import cut
from klio_dagster.core.plan import Decision, Plan
from klio_dagster.core.receipt import Receipt
from klio_dagster.core.spent import Findings, Spent, was_attempted
from klio_dagster.errors import PubSubError

SHOWN_FAILURES = 10  # a table in the UI has no pages
SHOWN_CHARACTERS = 300
COUNTS = ("materialized", "skipped", "failed", "waiting")
"""What is counted of each asset of a run."""
BY_ASSET = ("reasons", "checks", "spent")
"""What else a summary says, asset by asset."""


@dataclass(slots=True)
class Summary:
    """Outcome of one run, filled while it goes on.

    Args:
        plan: what was decided.
        keys: name of an asset to asset key.
        refused: entity ids that were refused, each with the reason and what is wrong with it.
        sources: what lies where the sources do and is none of the catalogue, by pattern.
        unpublished: why messages of what is recorded were not published; the next run or tick does.
    """

    plan: Plan
    keys: Mapping[str, str]
    refused: Mapping[str, str]
    materialized: Counter[str] = field(default_factory=Counter[str])
    failed: Counter[str] = field(default_factory=Counter[str])
    failures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    blocked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    looked_at: Counter[str] = field(default_factory=Counter[str])
    spent: dict[str, Spent] = field(default_factory=dict[str, Spent])
    findings: Findings = field(default_factory=Findings)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    unpublished: PubSubError | None = None

    def __post_init__(self) -> None:
        refused, self.refused = self.refused, {}
        self.refuse(refused)

    def refuse(self, refused: Mapping[str, str]) -> None:
        """Count entity ids that were refused, each with the reason and what is wrong with it."""
        for entity, problem in refused.items():
            if entity not in self.refused:
                self.failures.append({"entity": entity, "asset": None, "error": problem})
        self.refused = {**self.refused, **refused}

    def add(self, receipts: Iterable[Receipt]) -> None:
        """Count receipts, each once."""
        for receipt in receipts:
            self.findings.add(receipt)
            if was_attempted(receipt):
                self.spent.setdefault(receipt.asset, Spent()).add(receipt)
            if receipt.is_look:
                self.looked_at[receipt.asset] += 1
                continue
            if receipt.failure is None:
                self.materialized[receipt.asset] += 1
                continue
            self.failed[receipt.asset] += 1
            if receipt.failure.is_blocked:
                self.blocked.append(receipt.pair)
            else:
                self.failures.append(
                    {
                        "entity": receipt.entity,
                        "asset": receipt.asset,
                        "error": str(receipt.failure),
                    }
                )

    def make_good(self, receipts: Iterable[Receipt]) -> None:
        """Count outputs of pairs that were counted failed; of others they say nothing new."""
        outputs = {receipt.pair for receipt in receipts if receipt.failure is None}
        mended = outputs.intersection(self.failed_pairs) if outputs else outputs
        if not mended:
            return
        self.failures = [f for f in self.failures if (f["asset"], f["entity"]) not in mended]
        self.blocked = [pair for pair in self.blocked if pair not in mended]
        for asset, _ in mended:
            self.failed[asset] -= 1
            self.materialized[asset] += 1

    @property
    def failed_pairs(self) -> list[tuple[str, str]]:
        """(asset key, entity) of everything that is to be shown as failed."""
        caused = [(f["asset"], f["entity"]) for f in self.failures if f["asset"] is not None]
        return [*caused, *self.blocked]

    @property
    def has_failures(self) -> bool:
        """Something failed or was refused."""
        return bool(self.failures or self.blocked)

    def assets(self) -> dict[str, dict[str, int]]:
        """Asset key to how many were materialized, skipped, failed and are waiting."""
        counts = self.plan.counts()
        return {
            self.keys[name]: {
                "materialized": self.materialized[self.keys[name]],
                "skipped": sum(by_decision[Decision.SKIP].values()),
                "failed": self.failed[self.keys[name]] + sum(by_decision[Decision.REFUSE].values()),
                "waiting": sum(by_decision[Decision.WAIT].values()),
            }
            for name, by_decision in counts.items()
        }

    def reasons(self) -> dict[str, dict[str, dict[str, int]]]:
        """Asset key to decision to reason to how many entities were planned so."""
        return {
            self.keys[name]: {decision: reasons for decision, reasons in decided.items() if reasons}
            for name, decided in self.plan.counts().items()
        }

    def to_json(self, run_id: str, seconds: float) -> dict[str, Any]:
        """What `klio run --json` ends with."""
        told = {
            "run_id": run_id,
            "seconds": round(seconds, 3),
            "assets": self.assets(),
            "failures": self.failures,
            "blocked": len(self.blocked),
            "reasons": self.reasons(),
            "checks": self.findings.to_json(),
            "spent": {key: spent.to_json() for key, spent in self._by_time()},
        }
        if self.sources:
            told["sources"] = dict(self.sources)
        if self.unpublished is not None:
            told["unpublished"] = str(self.unpublished)
        return told

    def _by_time(self) -> list[tuple[str, Spent]]:
        return sorted(self.spent.items(), key=lambda each: -each[1].seconds)

    def failure_lines(self) -> bytes:
        """The full list of failures, a JSON object a line."""
        return b"".join(json.dumps(failure).encode() + b"\n" for failure in self.failures)

    def __str__(self) -> str:
        parts = [
            f"{key}: {', '.join(f'{counts[name]} {name}' for name in COUNTS)}"
            for key, counts in self.assets().items()
        ]
        parts += [f"{key}: {count} looked at again" for key, count in self.looked_at.items()]
        return "; ".join(parts)


def failure_of(summary: Summary, list_uri: str) -> dg.Failure:
    """The exception that ends the op of a run in which an entity failed."""
    shown = summary.failures[:SHOWN_FAILURES]
    rows = [
        dg.TableRecord(
            {
                "entity": printable(failure["entity"]),
                "asset": failure["asset"] or "",
                "error": cut(failure["error"], SHOWN_CHARACTERS),
            }
        )
        for failure in shown
    ]
    # The run's page shows the first lines in place: the table before the counts.
    metadata: dict[str, dg.MetadataValue] = {}
    if rows:
        metadata["first_failures"] = dg.MetadataValue.table(rows)
    metadata["failed"] = dg.MetadataValue.int(len(summary.failures))
    metadata["blocked"] = dg.MetadataValue.int(len(summary.blocked))
    metadata["full_list"] = dg.MetadataValue.path(list_uri)
    first = f"{printable(shown[0]['entity'])}: {shown[0]['error']}" if shown else ""
    return dg.Failure(
        description=f"{len(summary.failures)} failed, {len(summary.blocked)} blocked by them"
        f"{': ' if first else ''}{cut(first, SHOWN_CHARACTERS)} (full list: {list_uri})",
        metadata=metadata,
        allow_retries=False,
    )
