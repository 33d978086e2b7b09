"""One run executed in this process: its end, and why it ended early."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import dagster as dg

from klio_dagster import errors
from klio_dagster.cli.progress import Watch
from klio_dagster.cli.project import Project, ProjectGroup
from klio_dagster.cli.refusals import config_problem
from klio_dagster.defs.computing import watch_progress
from klio_dagster.defs.execute import tell, when_interrupted
from klio_dagster.errors import ConfigError, KlioError, RunError
from klio_dagster.ledger.internals import launching
from klio_dagster.ledger.internals.failures import ledger_error
from klio_dagster.ledger.run_process import process_tags
from klio_dagster.store.layout import summary_path
from klio_dagster.store.processes import Process

_POLL_S = 1.0
_INTERRUPTED = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}
_CANCELED = {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}


def executed(
    project: Project,
    group: ProjectGroup,
    run_id: str,
    watch: Watch,
    say: Callable[[str], None],
    *,
    quietly: bool,
) -> Mapping[str, Any]:
    """Execute a created run, and give the summary it left.

    Args:
        project: with the instance that has the run.
        group: the run's.
        run_id: the run.
        watch: told how far it is.
        say: told in a line what it waits for.
        quietly: without Dagster's log on the terminal.

    Raises:
        KlioError: what the run raised: something is configured wrongly, or it could not go on.
        KeyboardInterrupt: it was ended, from here or from the UI; what it finished is recorded.
    """
    instance = project.instance
    # Said before it starts: killed before its op says so, it is known to be over all the same.
    instance.add_run_tags(run_id, process_tags(run_id, Process.this()))
    tokens = watch_progress.set(watch), tell.set(say)
    canceling = when_interrupted.set(lambda: _report_canceling(instance, run_id))
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _ended_from_elsewhere(instance, run_id):
            result = launching.execute_run_here(instance, group.location, run_id, quietly=quietly)
    except BaseException as error:
        # Where Dagster's log does not work it cannot be told, and the next run finds out.
        if not isinstance(error, Exception) or ledger_error(error) is None:
            with suppress(Exception):
                _report_ended(instance, run_id, error)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        watch_progress.reset(tokens[0])
        tell.reset(tokens[1])
        when_interrupted.reset(canceling)
    summary = _summary(group, run_id, was_good=result.success)
    told = ("failures", "blocked", "unpublished")
    if summary is None or not (result.success or any(summary.get(name) for name in told)):
        error = _why(result, run_id)
        raise error
    return summary


def _summary(group: ProjectGroup, run_id: str, *, was_good: bool) -> Mapping[str, Any] | None:
    """The summary that a run left, if it came so far.

    Raises:
        KlioError: the store does not let us read it, which a run that failed may have met before.
    """
    try:
        stored = group.store.get_or_none(summary_path(run_id))
    except KlioError:
        if was_good:
            raise
        return None
    return json.loads(stored) if stored else None


def _report_ended(instance: dg.DagsterInstance, run_id: str, error: BaseException) -> None:
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if type(error).__name__ in _INTERRUPTED:
        instance.report_run_canceled(run, "klio run was ended")
    else:
        instance.report_run_failed(run, f"klio run could not go on: {error}")


def _report_canceling(instance: dg.DagsterInstance, run_id: str) -> None:
    """Say that the end of the run is wished for, or Dagster takes an interrupt for a failure."""
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status is dg.DagsterRunStatus.STARTED:
        instance.report_run_canceling(run, "klio run was ended")


@contextmanager
def _ended_from_elsewhere(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Interrupts this process when the run is terminated in the UI.

    The UI can reach runs that a code server started, and only notes its wish for others.
    """
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_POLL_S):
            with suppress(Exception):  # a server that is away may answer the next time
                run = instance.get_run_by_id(run_id)
                if run is not None and run.status in _CANCELED and not is_over.is_set():
                    os.kill(os.getpid(), signal.SIGINT)
                    return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def _why(result: dg.JobExecutionResult, run_id: str) -> BaseException:
    """Why a run ended early, as the error it was."""
    data = [event.step_failure_data for event in result.get_step_failure_events()]
    data += [event.job_failure_data for event in result.all_events if event.is_job_failure]
    for error in (each.error for each in data):
        # Ours is the answer; what it was raised from is for --debug.
        while error is not None and error.cause is not None and not _is_ours(error.cls_name):
            error = error.cause
        if error is not None:
            return _error(error.cls_name or "Error", error.message, run_id)
    if result.dagster_run.status in _CANCELED:
        return KeyboardInterrupt()
    return RunError(
        "it ended without a word", where=f"run {run_id}", fix="look at its page in Dagster's UI"
    )


def _error(name: str, message: str, run_id: str) -> BaseException:
    """An exception that Dagster kept as text."""
    if name in _INTERRUPTED:
        return KeyboardInterrupt()
    text = message.strip().removeprefix("klio_dagster.errors.").removeprefix(f"{name}: ")
    if _is_ours(name):
        where, _, rest = text.partition(": ")
        what, _, fix = rest.rpartition("; ")
        return getattr(errors, name)(what, where, fix)
    wrong = config_problem(text) if name == "DagsterInvalidConfigError" else None
    if wrong is not None:
        return ConfigError(wrong, where=f"run {run_id}", fix="mend the configuration")
    return RunError(
        f"{name}: {text}", where=f"run {run_id}", fix="run again with --debug to see where"
    )


def _is_ours(name: str | None) -> bool:
    kind = getattr(errors, name or "", None)
    return isinstance(kind, type) and issubclass(kind, KlioError)
