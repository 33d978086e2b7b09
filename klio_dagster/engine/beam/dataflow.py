"""Jobs of Google Cloud Dataflow: submitted by Beam's runner, watched through the service's own API.

Beam's own watching polls slowly, takes a 429 for the end and loops for ever over a name it does not
find (measured: docs/adr/0021).
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from google.api_core import exceptions as google
from google.cloud import dataflow_v1beta3 as api

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.beam.dataflow_bill import bill_of
from klio_dagster.engine.beam.pipeline import build
from klio_dagster.engine.beam.reason import reason_of
from klio_dagster.engine.options import DataflowOptions
from klio_dagster.engine.remote.job import Bill, JobInfo, Look, Message, State, job_name
from klio_dagster.errors import ConfigError, KlioError, RunError, ServiceUnavailableError

_ANSWER_S = 30.0
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
# Not worth waiting for: what a second try meets as well.
_OURS = (
    google.InvalidArgument,
    google.FailedPrecondition,
    google.Unauthenticated,
    google.Forbidden,
    google.NotFound,
)


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
        pipeline = beam.Pipeline(runner=DataflowRunner(), options=self._beam_options(manifest))
        build(pipeline, manifest)
        try:
            result: Any = pipeline.run()
        except Exception as error:  # noqa: BLE001 - Google's, Beam's, the system's; all told
            raise self._refused(error) from error
        return self._job(manifest, result.job_id())

    def find(self, manifest: Manifest, job_id: str | None) -> "DataflowJob | None":
        """The job of a manifest, one that goes on first; None if the service knows of none.

        Raises:
            ConfigError: it does not know us.
            ServiceUnavailableError: it did not answer.
        """
        if job_id is None:
            job_id = self._named(job_name(manifest.run))
        elif self._client.state(job_id) is None:
            job_id = None
        return None if job_id is None else self._job(manifest, job_id)

    def _named(self, name: str) -> str | None:
        jobs = self._client.named(name)
        jobs.sort(key=lambda job: job.create_time.timestamp(), reverse=True)
        jobs.sort(key=lambda job: _state(job.current_state).has_ended)
        return jobs[0].id if jobs else None

    def _job(self, manifest: Manifest, job_id: str) -> "DataflowJob":
        told = {"region": self._options.region, "id": job_id, "project": self._options.project}
        info = JobInfo(
            engine="dataflow",
            id=job_id,
            name=job_name(manifest.run),
            url=_CONSOLE.format(**told),
        )
        return DataflowJob(self._client, info, self._options)

    def _beam_options(self, manifest: Manifest | None = None) -> PipelineOptions:
        options = self._options
        fields: dict[str, Any] = {
            "project": options.project,
            "region": options.region,
            **({"dataflow_endpoint": options.endpoint} if options.endpoint else {}),
            **({"job_name": job_name(manifest.run)} if manifest else {}),
            **options.pipeline_options,
        }
        return PipelineOptions(flags=[], **fields)

    @cached_property
    def _client(self) -> "DataflowClient":
        return DataflowClient(self._options, self._beam_options())

    def _refused(self, error: Exception) -> KlioError:
        """What a submission that failed means."""
        if isinstance(error, KlioError):
            return error
        if isinstance(error, google.GoogleAPICallError):
            return call_error(error, self._options)
        what = " ".join(str(error).split())[:500] or type(error).__name__
        where = _where(self._options)
        if type(error).__name__ == "DataflowJobAlreadyExistsError":
            return RunError(what, where, "wait for that job, or cancel it")
        return ConfigError(what, where, "mend the engine's options, then run again")


class DataflowClient:
    """The service's API, with a limit on each call.

    Args:
        options: of the engine.
        beam_options: the same as Beam reads them: they say who we are.
    """

    def __init__(self, options: DataflowOptions, beam_options: PipelineOptions) -> None:
        self._options = options
        shared = {
            "credentials": _credentials(beam_options),
            "client_options": {"api_endpoint": options.endpoint} if options.endpoint else None,
            # As Beam tells them apart: only a service on this machine speaks REST.
            "transport": "rest" if "localhost" in options.endpoint else None,
        }
        self._jobs: Any = api.JobsV1Beta3Client(**shared)
        self._messages: Any = api.MessagesV1Beta3Client(**shared)
        self._metrics: Any = api.MetricsV1Beta3Client(**shared)
        self._place = {"project_id": options.project, "location": options.region}

    def state(self, job_id: str) -> str | None:
        """A job's state in the service's words; None if it knows of no such job.

        Raises:
            ConfigError: it does not know us.
            ServiceUnavailableError: it did not answer.
        """
        try:
            job = self._jobs.get_job({**self._place, "job_id": job_id}, timeout=_ANSWER_S)
        except google.NotFound:
            return None
        except google.GoogleAPICallError as error:
            raise call_error(error, self._options) from error
        return _shown(job.current_state)

    def named(self, name: str) -> list[Any]:
        """The jobs of a name.

        Raises:
            ConfigError: it does not know us.
            ServiceUnavailableError: it did not answer.
        """
        return self._all(self._jobs.list_jobs, {**self._place, "name": name})

    def messages(self, job_id: str, since: Any) -> list[Any]:
        """What it says of a job, the less important left out, oldest first.

        Raises:
            ConfigError: it does not know us.
            ServiceUnavailableError: it did not answer.
        """
        wanted = {**self._place, "job_id": job_id, "start_time": since}
        wanted["minimum_importance"] = api.JobMessageImportance.JOB_MESSAGE_BASIC
        found = self._all(self._messages.list_job_messages, wanted)
        return sorted(found, key=lambda each: each.time.timestamp())

    def cancel(self, job_id: str) -> None:
        """Ask for a job's end.

        Raises:
            ConfigError: it does not let us.
            ServiceUnavailableError: it did not answer.
        """
        wanted = api.Job(requested_state=api.JobState.JOB_STATE_CANCELLED)
        try:
            self._jobs.update_job(
                {**self._place, "job_id": job_id, "job": wanted}, timeout=_ANSWER_S
            )
        except google.FailedPrecondition:  # it has ended meanwhile
            return
        except google.GoogleAPICallError as error:
            raise call_error(error, self._options) from error

    def metrics(self, job_id: str) -> list[Any]:
        """What it counted of a job.

        Raises:
            ConfigError: it does not know us.
            ServiceUnavailableError: it did not answer.
        """
        try:
            told = self._metrics.get_job_metrics(
                {**self._place, "job_id": job_id}, timeout=_ANSWER_S
            )
        except google.GoogleAPICallError as error:
            raise call_error(error, self._options) from error
        return list(told.metrics)

    def _all(self, method: Callable[..., Any], wanted: Mapping[str, Any]) -> list[Any]:
        try:
            return list(method(wanted, timeout=_ANSWER_S))
        except google.GoogleAPICallError as error:
            raise call_error(error, self._options) from error


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
        self._since: Any = None
        self._errors: list[str] = []

    @property
    def info(self) -> JobInfo:
        """How people find it."""
        return self._info

    def look(self) -> Look:
        """Its state, and what is new.

        Raises:
            ServiceUnavailableError: the service did not answer.
            RunError: it does not know the job.
        """
        shown = self._client.state(self._info.id)
        if shown is None:
            raise RunError(
                "the service knows it no longer",
                where=f"Dataflow job {self._info.id}",
                fix="what is done stays done: run again for the rest",
            )
        return Look(_STATES.get(shown, State.RUNNING), shown, self._new())

    def cancel(self) -> None:
        """Ask for its end.

        Raises:
            ServiceUnavailableError: the service did not answer.
            RunError: it refuses.
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


def call_error(error: google.GoogleAPICallError, options: DataflowOptions) -> KlioError:
    """What a call that failed means."""
    what = " ".join(str(error.message or error).split())[:500]
    where = _where(options)
    if isinstance(error, google.Forbidden | google.Unauthenticated):
        fix = "grant roles/dataflow.developer (and roles/iam.serviceAccountUser), or mend project"
        return ConfigError(f"not permitted: {what}", where, fix)
    if isinstance(error, google.Conflict | google.AlreadyExists):
        return RunError(what, where, "wait for that job, or cancel it")
    if isinstance(error, google.TooManyRequests) and "quota" in what.lower():
        return RunError(what, where, "wait, or ask for more quota; what is done stays done")
    if isinstance(error, _OURS):
        return ConfigError(what, where, "mend the engine's options, then run again")
    return ServiceUnavailableError(f"it does not answer ({what})", where, "try again later")


def _credentials(options: PipelineOptions) -> Any:
    from apache_beam.internal.gcp.auth import get_service_credentials
    from google.auth.credentials import AnonymousCredentials

    if options.view_as(GoogleCloudOptions).no_auth:
        return AnonymousCredentials()
    return get_service_credentials(options) or AnonymousCredentials()


def _where(options: DataflowOptions) -> str:
    return f"Dataflow in project '{options.project}', region '{options.region}'"


def _shown(state: Any) -> str:
    return api.JobState(state).name.removeprefix("JOB_STATE_")


def _state(state: Any) -> State:
    return _STATES.get(_shown(state), State.RUNNING)
