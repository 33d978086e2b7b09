"""The process that executes a run, as a tag of it; and runs whose process is gone.

A claim says that too, but only between its writing and its removal: a run that was killed before or
after would stay STARTED for ever where nobody watches over runs.
"""

import json
import multiprocessing
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg

from klio_dagster.store.processes import Process

TAG = "klio/process"

_IN_PROCESS = {"in_process", "execute_in_process_executor"}
_MULTIPROCESS = "multiprocess"
_STOCK = "multi_or_in_process_executor"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tags(run_id: str, process: Process | None) -> dict[str, str]:
    """The tag of a run that a process executes; none if nobody knows the process.

    The run's id is part of it: a run that is executed again inherits the tags of the first one.
    """
    if process is None:
        return {}
    return {TAG: json.dumps({"run": run_id, **asdict(process)})}


def executing_process(context: dg.AssetExecutionContext) -> Process | None:
    """The process whose end is the run's end; None where an executor is not known.

    Args:
        context: of an op, which may be executed in a child of that process.
    """
    name = context.job_def.executor_def.name
    if name == _STOCK:
        config: Mapping[str, Any] = context.run.run_config
        chosen = config.get("execution", {}).get("config", {})
        name = "in_process" if "in_process" in chosen else _MULTIPROCESS
    if name in _IN_PROCESS:
        return Process.this()
    parent = multiprocessing.parent_process()
    if name == _MULTIPROCESS and parent is not None and parent.pid is not None:
        return Process.of(parent.pid)
    return None


def has_gone(run: dg.DagsterRun) -> bool:
    """Whether the process of a run was on this machine and is gone; False if nobody knows it."""
    process = _process_of(run.run_id, run.tags)
    return process is not None and process.is_gone


def report_gone_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report the runs ended whose process was on this machine and is gone.

    Runs that still have a claim are cleared away with it, before this is asked.

    Returns:
        The ids of the runs.
    """
    reported: list[str] = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        process = _process_of(run.run_id, run.tags)
        if process is None or not process.is_gone:
            continue
        # It may have come to its end, and its process too, since the runs were read.
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            continue
        message = f"the run died ({process} is gone); what it had finished is recorded"
        if now.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, message)
        else:
            instance.report_run_failed(now, message)
        reported.append(run.run_id)
    return reported


def _process_of(run_id: str, tags: Mapping[str, str]) -> Process | None:
    try:
        fields = json.loads(tags.get(TAG, "{}"))
        return Process(**fields) if fields.pop("run", None) == run_id else None
    except (ValueError, TypeError, AttributeError):  # somebody else's tag of that name
        return None
