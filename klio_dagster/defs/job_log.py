"""What is shown of a job elsewhere, on the run's page and in its log."""

from collections.abc import Mapping

import dagster as dg

from klio_dagster.engine.remote.job import Bill, JobInfo, Message
from klio_dagster.engine.remote.told import Change, Told
from klio_dagster.store.open_claim import OpenClaim

ENGINE_TAG = "klio/engine"
JOB_ID_TAG = "klio/job_id"
JOB_URL_TAG = "klio/job_url"
_MOST_MESSAGES = 500  # of a service that says the same of every bundle
_MOST_CHARACTERS = 2_000


class JobLog:
    """Takes what a driver tells of its job.

    Args:
        context: of the op.
        claim: names the job, so that the next run finds it if this one dies.
        is_own: the run has submitted it.
    """

    def __init__(
        self, context: dg.AssetExecutionContext, claim: OpenClaim, *, is_own: bool = True
    ) -> None:
        self._context, self._claim, self._is_own = context, claim, is_own
        self._messages = 0
        self._is_named = False

    def add(self, told: Told) -> None:
        """Show it."""
        match told:
            case JobInfo():
                self._name(told)
            case Change():
                self._context.log.info(f"job {told.shown}")
            case Message():
                self._say(told)
            case Bill():
                if told.counters or told.cost is not None:
                    self._context.log.info(_shown(told))
            case _:
                pass

    def _name(self, info: JobInfo) -> None:
        if self._claim.claim.job_id != info.id:
            self._claim.set_job(info.id)
        elif self._is_named or self._is_own:  # its driver was replaced
            return
        self._is_named = True
        if self._is_own:
            tags = {ENGINE_TAG: info.engine, JOB_ID_TAG: info.id}
            tags |= {JOB_URL_TAG: info.url} if info.url else {}
            self._context.instance.add_run_tags(self._context.run.run_id, tags)
        place = f" ({info.url})" if info.url else ""
        self._context.log.info(f"{info.engine} job {info.id}{place}")

    def _say(self, message: Message) -> None:
        self._messages += 1
        if self._messages > _MOST_MESSAGES:
            return
        say = self._context.log.warning if message.is_error else self._context.log.info
        say(message.text[:_MOST_CHARACTERS])
        if self._messages == _MOST_MESSAGES:
            self._context.log.info("its service says more; see there")


def _shown(bill: Bill) -> str:
    counted = ", ".join(f"{name} {_number(value)}" for name, value in _sorted(bill.counters))
    if bill.cost is None:
        return f"the job has used {counted}"
    return f"the job has used {counted}: about {bill.cost:.2f} {bill.currency} by the given prices"


def _sorted(counters: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted((name, value) for name, value in counters.items() if value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
