"""Which runs work, or will: Dagster alone cannot tell a killed one from a live one."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import dagster as dg

from klio_dagster.ledger.run_process import has_gone
from klio_dagster.store.claims import read_claims
from klio_dagster.store.store import Store

_TO_CLAIM_S = 300.0  # a run that was launched holds its claim by then, or never will
_NOT_ENDED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@dataclass(frozen=True, slots=True)
class Liveness:
    """What is known of runs beside what Dagster says of them.

    Args:
        claims: run id to whether its claim is alive.
        now: seconds since 1970.
        works: work ids of the live claims.
    """

    claims: Mapping[str, bool]
    now: float
    works: Collection[str] = ()

    @classmethod
    def of(cls, store: Store) -> "Liveness":
        """As the claims in the store tell it.

        Raises:
            ConfigError: a claim cannot be read.
            StoreUnavailableError: the store did not answer.
        """
        states = read_claims(store)
        # Of an orphan only the job lives: a run has to ask for it, or nobody records what it does.
        live = [state for state in states if state.is_alive and not state.is_orphaned]
        claims = {state.claim.run_id: state in live for state in states}
        works = {state.claim.work_id for state in live}
        return cls(claims, time.time(), works)

    def is_live(self, record: dg.RunRecord) -> bool:
        """Whether a run works, or will.

        One that was killed stays "started" until the next one buries it.
        """
        run = record.dagster_run
        if run.status not in _NOT_ENDED:
            return False
        if run.status is dg.DagsterRunStatus.QUEUED:
            return True
        claimed = self.claims.get(run.run_id)
        if claimed is not None:
            return claimed
        if has_gone(run):  # before it held its claim
            return False
        # An hour from now is as long ago: the clock was set back.
        return abs(self.now - record.update_timestamp.timestamp()) < _TO_CLAIM_S


def run_under_way(
    instance: dg.DagsterInstance, store: Store, tags: Mapping[str, str]
) -> str | None:
    """Id of a run with these tags that works, or will.

    Raises:
        ConfigError: a claim cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    wanted = dg.RunsFilter(tags=tags, statuses=list(_NOT_ENDED))
    records = instance.get_run_records(wanted)
    liveness = Liveness.of(store) if records else Liveness({}, time.time())
    return next((r.dagster_run.run_id for r in records if liveness.is_live(r)), None)
