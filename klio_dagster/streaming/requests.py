"""Which batches of the inbox a tick asks for: those that no live run works on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

from klio_dagster.defs.liveness import Liveness
from klio_dagster.defs.messages import WAITED_TAG
from klio_dagster.store.inbox import Batch

BATCH_TAG = "klio/batch"
ATTEMPT_TAG = "klio/attempt"
MOST_ATTEMPTS = 5
_PAUSES_S = (0.0, 15.0, 60.0, 240.0)  # before the second attempt, the third, and so on


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a batch.

    Args:
        number: of the run to be requested next; the runs of a batch are counted from 1.
        attempts: how many of its runs ended without settling it.
        live: id of a run that works on it, or will.
        rests_until: not asked for before, seconds since 1970.
        last: id of the last of its runs.
        has_waited: the last one ended because other runs hold its entities.
    """

    number: int = 1
    attempts: int = 0
    live: str | None = None
    rests_until: float = 0.0
    last: str | None = None
    has_waited: bool = False

    @property
    def is_given_up(self) -> bool:
        """It was tried often enough."""
        return self.live is None and self.attempts >= MOST_ATTEMPTS


def standings(
    instance: dg.DagsterInstance, liveness: Liveness, batches: Sequence[Batch]
) -> dict[Batch, Standing]:
    """How it stands with batches, at least one, in one look at Dagster's runs."""
    wanted = dg.RunsFilter(tags={BATCH_TAG: [batch.id for batch in batches]})
    by_batch: dict[str, list[dg.RunRecord]] = {}
    for record in instance.get_run_records(wanted):
        by_batch.setdefault(record.dagster_run.tags[BATCH_TAG], []).append(record)
    return {batch: standing(by_batch.get(batch.id, ()), liveness) for batch in batches}


def standing(records: Iterable[dg.RunRecord], liveness: Liveness) -> Standing:
    """How it stands with a batch, by its runs."""
    records = sorted(records, key=_number)
    if not records:
        return Standing()
    live = next((r.dagster_run.run_id for r in records if liveness.is_live(r)), None)
    attempts = sum(not _has_waited(record) for record in records)
    last = records[-1]
    pause_s = _PAUSES_S[min(attempts, len(_PAUSES_S)) - 1] if attempts else 0.0
    return Standing(
        number=_number(last) + 1,
        attempts=attempts,
        live=live,
        rests_until=0.0 if _has_waited(last) else last.update_timestamp.timestamp() + pause_s,
        last=last.dagster_run.run_id,
        has_waited=_has_waited(last),
    )


def run_key(batch: Batch, number: int) -> str:
    """Names the request of a run; Dagster takes each once."""
    return f"{batch.id}/{number}"


def _number(record: dg.RunRecord) -> int:
    told = record.dagster_run.tags.get(ATTEMPT_TAG, "")
    return int(told) if told.isdecimal() else 0


def _has_waited(record: dg.RunRecord) -> bool:
    return record.dagster_run.tags.get(WAITED_TAG) == "true"
