"""Has a driver compute one round, and records its receipts as they come."""

import time
from collections.abc import Callable
from contextvars import ContextVar

from klio_dagster.core.manifest import Manifest
from klio_dagster.core.plan import Decision, Plan
from klio_dagster.core.wording import counted
from klio_dagster.defs.job_log import JobLog
from klio_dagster.defs.knowledge import Gathered
from klio_dagster.defs.looks import write_looks
from klio_dagster.defs.passing_on import PassingOn
from klio_dagster.defs.planning import Round
from klio_dagster.defs.recorder import Recorder
from klio_dagster.defs.run import Run
from klio_dagster.defs.summary import Summary
from klio_dagster.defs.tasks import write_manifest
from klio_dagster.engine.launch import carry_out
from klio_dagster.engine.progress import Progress
from klio_dagster.errors import RunError
from klio_dagster.store.layout import manifest_head

watch_progress: ContextVar[Callable[[Progress], None]] = ContextVar("watch_progress")
"""Told of the progress of runs that are executed in this process; set by `klio run`."""


def compute(run: Run, planned: Round, summary: Summary, passing: PassingOn) -> bool:
    """Have a driver compute what the plan runs, and record receipts as they come.

    Returns:
        Whether there was anything to compute.

    Raises:
        RunError: the driver could not go on, or an output has no receipt.
    """
    written = _written(run, planned.plan, planned.gathered)
    if written is None:
        return False
    manifest, outputs = written
    run.claim.set_manifest(manifest_head(run.work_id))
    run.context.log.info(
        f"{'checking' if run.looked_at else 'computing'} {counted(outputs, 'output')}"
    )
    progress = Progress(outputs, time.monotonic)
    recorder = Recorder(
        run.ledger,
        run.identity,
        summary,
        progress,
        say=run.context.log.info,
        watch=watch_progress.get(_nobody),
        confirm=run.confirm,
        then=passing.recorded,
    )
    carry_out(
        manifest,
        run.store,
        on_receipts=recorder.add,
        on_output=_print_output,
        on_job=JobLog(run.context, run.claim).add,
    )
    recorder.flush()
    if progress.left:
        raise RunError(
            f"there is no receipt for {counted(progress.left, 'output')}",
            where=f"run {run.identity.run_id}",
            fix="what is done stays done: run again, and report this",
        )
    return True


def _written(run: Run, plan: Plan, gathered: Gathered) -> tuple[Manifest, int] | None:
    """The manifest of what is to be computed, or checked again, and of how many outputs."""
    if run.looked_at:
        entities = gathered.request.entities
        manifest, outputs = write_looks(
            run.store, run.claim, run.engine, run.group, run.looked_at, entities, run.ledger
        )
        return (manifest, outputs) if outputs else None
    outputs = sum(1 for _ in plan.pairs(Decision.RUN))
    if not outputs:
        return None
    return write_manifest(run.store, run.claim, run.engine, plan, run.group, gathered), outputs


def _nobody(_progress: Progress) -> None:
    """Nobody watches."""


def _print_output(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what user code printed, into Dagster's compute logs
