"""Jobs of Google Cloud Dataflow: submitted by Beam's runner, watched through the service's own API.

Beam's own watching polls slowly, takes a 429 for the end and loops for ever over a name it does not
find (measured: docs/adr/0022).
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import uuid4

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from google.cloud import dataflow_v1beta3 as api
from requests.exceptions import RequestException

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.beam.dataflow_bill import bill_of
from klio_dagster.engine.beam.dataflow_client import (
    DataflowClient,
    shown,
    told_errors,
    where_of,
)
from klio_dagster.engine.beam.option_names import unknown_options
from klio_dagster.engine.beam.pipeline import build
from klio_dagster.engine.beam.reason import reason_of
from klio_dagster.engine.opened import opened_store
from klio_dagster.engine.options import DataflowOptions
from klio_dagster.engine.remote.job import (
    Answer,
    Bill,
    JobInfo,
    Look,
    Message,
    State,
    Verdict,
    job_name,
)
from klio_dagster.errors import (
    ConfigError,
    KlioError,
    NoJobError,
    RunError,
    ServiceUnavailableError,
)

_CONSOLE = "https://console.cloud.google.com/dataflow/jobs/{region}/{id}?project={project}"
_STATES: Mapping[str, State] = {
    "UNKNOWN": State.WAITING,
    "STOPPED": State.WAITING,
    "QUEUED": State.WAITING,
    "PENDING": State.WAITING,
    "RUNNING": State.RUNNING,
    "DRAINING": State.RUNNING,
    "PAUSING": State.RUNNING,
    "PAUSED": State.RUNNING,
    # What it has to clean up are machines: its work is done by then.
    "RESOURCE_CLEANING_UP": State.RUNNING,
    "CANCELLING": State.CANCELLING,
    "DONE": State.DONE,
    "DRAINED": State.DONE,
    "UPDATED": State.DONE,
    "FAILED": State.FAILED,
    "CANCELLED": State.CANCELLED,
}
_FOLDERS = ("temp_location", "staging_location")  # options; what Beam and its workers write to


class Dataflow:
    """Submits to the service, and finds jobs there by their name.

    Args:
        options: of the engine.
    """

    def __init__(self, options: DataflowOptions) -> None:
        self._options = options

    def submit(self, manifest: Manifest) -> "DataflowJob":
        """Have a manifest carried out.

        Raises:
            ConfigError: the engine's options are wrong, or the service refuses the job.
            RunError: it refuses for the time being: a quota, or a job of that name.
            ServiceUnavailableError: it did not answer.
        """
        try:
            options = self._beam_options(manifest)
            pipeline = beam.Pipeline(runner=DataflowRunner(), options=options)
            build(pipeline, manifest)
            with told_errors(self._options):
                result: Any = pipeline.run()
        except Exception as error:
            raise self._refused(error) from error
        return self._job(manifest, result.job_id())

    def find(self, manifest: Manifest, job_id: str | None) -> "DataflowJob | None":
        """The job of a manifest, one that goes on first; None if the service knows of none.

        Raises:
            ConfigError: it does not know us.
            ServiceUnavailableError: it did not answer.
        """
        if job_id is None:
            job_id = self._named(job_name(manifest))
        elif self._client.state(job_id) is None:
            job_id = None
        return None if job_id is None else self._job(manifest, job_id)

    def check(self, start_s: float = 0.0) -> Iterator[Answer]:  # noqa: ARG002 - nothing is started
        """Whether the service lets us in, and what is staged can be written.

        Args:
            start_s: of what a run starts itself, which is nothing.

        Raises:
            ConfigError: it does not know us.
            ServiceUnavailableError: it does not answer.
        """
        self._client.named("klio-doctor")
        yield Answer("service", f"{where_of(self._options)} answers")
        yield from unknown_options(self._options.pipeline_options)
        tried: set[str] = set()
        for option in _FOLDERS:
            folder = str(self._options.pipeline_options.get(option) or "")
            if folder.rstrip("/") not in {"", *tried}:
                tried.add(folder.rstrip("/"))
                yield _written(option, folder)

    def _named(self, name: str) -> str | None:
        jobs = self._client.named(name)
        jobs.sort(key=lambda job: job.create_time.timestamp(), reverse=True)
        jobs.sort(key=lambda job: _state(shown(job.current_state)).has_ended)
        return jobs[0].id if jobs else None

    def _job(self, manifest: Manifest, job_id: str) -> "DataflowJob":
        told = {"region": self._options.region, "id": job_id, "project": self._options.project}
        info = JobInfo(
            engine="dataflow",
            id=job_id,
            name=job_name(manifest),
            url=_CONSOLE.format(**told),
        )
        return DataflowJob(self._client, info, self._options)

    def _beam_options(self, manifest: Manifest | None = None) -> PipelineOptions:
        options = self._options
        fields: dict[str, Any] = {
            "project": options.project,
            "region": options.region,
            **({"dataflow_endpoint": options.endpoint} if options.endpoint else {}),
            **options.pipeline_options,
            **({"job_name": job_name(manifest)} if manifest else {}),  # it is found again by that
        }
        return PipelineOptions(flags=[], **fields)

    @cached_property
    def _client(self) -> DataflowClient:
        return DataflowClient(self._options, self._beam_options())

    def _refused(self, error: Exception) -> KlioError:
        """What a submission that failed means."""
        if isinstance(error, KlioError):
            return error
        what = " ".join(str(error).split())[:500] or type(error).__name__
        where = where_of(self._options)
        if isinstance(error, ConnectionError | TimeoutError | RequestException):
            return ServiceUnavailableError(f"it does not answer ({what})", where, "try again later")
        if type(error).__name__ == "DataflowJobAlreadyExistsError":
            return RunError(what, where, "wait for that job, or cancel it")
        return ConfigError(what, where, "mend the engine's options, then run again")


class DataflowJob:
    """A job of the service.

    Args:
        client: the service.
        info: how people find the job.
        options: of the engine.
    """

    def __init__(self, client: DataflowClient, info: JobInfo, options: DataflowOptions) -> None:
        self._client, self._info, self._options = client, info, options
        self._said: set[str] = set()
        self._since: datetime | None = None
        self._errors: list[str] = []

    @property
    def info(self) -> JobInfo:
        """How people find it."""
        return self._info

    def look(self) -> Look:
        """Its state, and what is new.

        Raises:
            ConfigError: it does not know us.
            NoJobError: it does not know the job any more.
            ServiceUnavailableError: the service did not answer.
        """
        told = self._client.state(self._info.id)
        if told is None:
            raise NoJobError(
                "the service knows it no longer",
                where=f"Dataflow job {self._info.id}",
                fix="what is done stays done: run again for the rest",
            )
        new: list[Message] = []
        with suppress(KlioError):  # the next look asks for them again: its state is known
            new = self._new()
        return Look(_state(told), told, new)

    def cancel(self) -> None:
        """Ask for its end.

        Raises:
            ConfigError: it does not let us.
            ServiceUnavailableError: the service did not answer.
        """
        self._client.cancel(self._info.id)

    def error(self) -> str:
        """Why it failed."""
        return reason_of(self._errors)

    def bill(self) -> Bill:
        """What it has used, as far as the service says."""
        try:
            return bill_of(self._client.metrics(self._info.id), self._options)
        except KlioError:
            return Bill()

    def close(self) -> None:
        """Nothing is held of it."""

    def _new(self) -> list[Message]:
        found: list[Message] = []
        for each in self._client.messages(self._info.id, self._since):
            if each.id in self._said:
                continue
            self._said.add(each.id)
            self._since = each.time  # those of the same moment come once more, and are known
            is_error = each.message_importance == api.JobMessageImportance.JOB_MESSAGE_ERROR
            if is_error:
                self._errors.append(each.message_text)
            found.append(Message(each.message_text, is_error))
        return found


def _written(option: str, folder: str) -> Answer:
    """Whether the folder of an option takes what is staged, and lets go of it."""
    trial = f"klio-doctor-{uuid4().hex}"
    try:
        store = opened_store(folder)
        store.put(trial, b"")
    except KlioError as error:
        said = f"{error.where}: {error.what}"
        return Answer(option, said, Verdict.FAIL, error.fix)
    try:
        store.delete(trial)
    except KlioError as error:
        said = f"{folder} can be written, but {trial} not removed: {error.what}"
        return Answer(option, said, Verdict.WARN, error.fix)
    return Answer(option, f"{folder} can be written")


def _state(shown_state: str) -> State:
    return _STATES.get(shown_state, State.RUNNING)
