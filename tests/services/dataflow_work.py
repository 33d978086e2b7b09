"""How the Dataflow double works on a job: its states, its messages, its attempts.

The real service tries a failing bundle four times and then fails the job. Here the whole pipeline
is run again, up to `attempts` times: what a bundle did before it failed is done again, too, and so
is what other bundles have finished.
"""

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services import dataflow_processes as processes
from tests.services.dataflow_faults import RUNNING
from tests.services.dataflow_job import Job

_GIVEN_UP = (
    "Workflow failed. Causes: S01:{stage} failed., The job failed because a work item has failed "
    "{attempts} times. Look in previous log entries for the cause of each one of the {attempts} "
    "failures. For more information, see "
    "https://cloud.google.com/dataflow/docs/guides/common-errors. The work item was attempted on "
    "these workers:{workers}"
)
_LOST = "Root cause: The worker lost contact with the service."
_TICK_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What jobs are worked on with.

    Args:
        storage: URL of the server of `gs://`.
        environment: of the executors and their SDK workers.
        folder: for what executors read and write.
        workers: SDK processes of a job.
        attempts: how often a pipeline is run before its job fails, >= 1.
        pending_s: for so long a job is PENDING.
    """

    storage: str
    environment: Mapping[str, str]
    folder: Path
    workers: int
    attempts: int
    pending_s: float


class _Cancelled(Exception):
    """Somebody asked for the end of the job."""


def work_on(job: Job, machines: Machines) -> None:
    """Bring a job to its end; returns when it is over."""
    try:
        state = _carried_out(job, machines)
    except _Cancelled:
        job.enter("JOB_STATE_CANCELLING")
        job.say(f"Cancel request is committed for workflow job: {job.id}.")
        job.service_ends.wait(job.fault.cancel_s)
        state = "JOB_STATE_CANCELLED"
    job.say("Cleaning up.", "DETAILED")
    job.say("Stopping worker pool...")
    job.say("Worker pool stopped.")
    job.enter(state)


def _carried_out(job: Job, machines: Machines) -> str:
    """The state in which it ends.

    Raises:
        _Cancelled: the job was cancelled before that.
    """
    if job.fault.stays:
        job.enter(job.fault.stays)
        _pause(job, job.fault.lasts_s)
    if job.state != RUNNING:
        job.enter("JOB_STATE_PENDING")
        job.say(f"Worker configuration: {job.machine_type} in {{region}}.")
        _pause(job, machines.pending_s)
    if job.fault.failure:
        job.say(job.fault.failure, "ERROR")
        return "JOB_STATE_FAILED"
    job.say(f"Starting {machines.workers} workers in {{region}}...")
    job.enter(RUNNING)
    for attempt in range(1, machines.attempts + 1):
        job.attempts = attempt
        error = _attempted(job, machines)
        if error is None:
            return "JOB_STATE_DONE"
        job.say(error, "ERROR")
    harness = ",".join(f"\n  {job.name}-harness-{each}" for each in range(machines.attempts))
    words = {"stage": "process", "attempts": machines.attempts, "workers": harness}
    job.say(_GIVEN_UP.format(**words), "ERROR")
    return "JOB_STATE_FAILED"


def _attempted(job: Job, machines: Machines) -> str | None:
    """Run the pipeline once: why it failed, or None.

    Raises:
        _Cancelled: the job was cancelled meanwhile.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{job.id}-{job.attempts}-", dir=machines.folder))
    work = {"options": job.options, "storage": machines.storage, "workers": machines.workers}
    (folder / "work.json").write_text(json.dumps(work))
    executor = processes.launch(folder, machines.environment)
    job.executor = executor.pid
    job.say("Workers have started successfully.", "DETAILED")
    try:
        while not processes.has_ended(executor):
            _pause(job, _TICK_S)
    finally:
        job.executor = None
        processes.end(executor, folder)
    with suppress(FileNotFoundError):
        said: dict[str, Any] = json.loads((folder / "outcome.json").read_text())
        job.user_metrics = said.get("metrics", [])
        return said.get("error")
    return f"{(folder / 'log').read_text()[-4000:]}\n{_LOST}"


def _pause(job: Job, seconds: float | None) -> None:
    """Wait, for ever if None.

    Raises:
        _Cancelled: the job was cancelled meanwhile.
    """
    if job.is_cancelled.wait(seconds):
        raise _Cancelled
