"""Dataflow's own API, with a limit on each call, and what its errors mean."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from apache_beam.internal.gcp.auth import get_service_credentials
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from google.api_core import exceptions as google
from google.auth import exceptions as auth
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import dataflow_v1beta3 as api
from requests.exceptions import RequestException

from klio_dagster.engine.options import DataflowOptions
from klio_dagster.errors import ConfigError, KlioError, RunError, ServiceUnavailableError

_ANSWER_S = 30.0
# Not worth waiting for: what a second try meets as well.
_OURS = (google.InvalidArgument, google.FailedPrecondition, google.NotFound)


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
        wanted = {**self._place, "job_id": job_id}
        with told_errors(self._options):
            try:
                job = self._jobs.get_job(wanted, timeout=_ANSWER_S)
            except google.NotFound:
                return None
        return shown(job.current_state)

    def named(self, name: str) -> list[Any]:
        """The jobs of a name.

        Raises:
            ConfigError: it does not know us.
            ServiceUnavailableError: it did not answer.
        """
        return self._all(self._jobs.list_jobs, {**self._place, "name": name})

    def messages(self, job_id: str, since: datetime | None) -> list[Any]:
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
        job = api.Job(requested_state=api.JobState.JOB_STATE_CANCELLED)
        wanted = {**self._place, "job_id": job_id, "job": job}
        # One that has ended meanwhile cannot be cancelled any more.
        with told_errors(self._options), suppress(google.FailedPrecondition):
            self._jobs.update_job(wanted, timeout=_ANSWER_S)

    def metrics(self, job_id: str) -> list[Any]:
        """What it counted of a job.

        Raises:
            ConfigError: it does not know us.
            ServiceUnavailableError: it did not answer.
        """
        wanted = {**self._place, "job_id": job_id}
        with told_errors(self._options):
            return list(self._metrics.get_job_metrics(wanted, timeout=_ANSWER_S).metrics)

    def _all(self, method: Callable[..., Any], wanted: Mapping[str, Any]) -> list[Any]:
        with told_errors(self._options):
            return list(method(wanted, timeout=_ANSWER_S))


@contextmanager
def told_errors(options: DataflowOptions) -> Generator[None]:
    """What a failed call means, in our words.

    Args:
        options: of the engine.

    Raises:
        ConfigError: it does not let us, or the options are wrong.
        RunError: it refuses for the time being: a quota, or a job of the same name.
        ServiceUnavailableError: it did not answer.
    """
    try:
        yield
    except (google.GoogleAPIError, auth.GoogleAuthError, RequestException) as error:
        meant = _meant(error, options)
        raise meant from error


def _meant(error: Exception, options: DataflowOptions) -> KlioError:
    what = " ".join(str(getattr(error, "message", "") or error).split())[:500]
    where = where_of(options)
    if isinstance(error, auth.GoogleAuthError) and not isinstance(error, auth.TransportError):
        fix = "run gcloud auth application-default login, or mend GOOGLE_APPLICATION_CREDENTIALS"
        return ConfigError(f"no credentials: {what}", where, fix)
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


def _credentials(options: PipelineOptions) -> Credentials:
    if options.view_as(GoogleCloudOptions).no_auth:
        return AnonymousCredentials()
    found: Any = get_service_credentials(options)
    return found or AnonymousCredentials()


def where_of(options: DataflowOptions) -> str:
    """For messages."""
    return f"Dataflow in project '{options.project}', region '{options.region}'"


def shown(state: int) -> str:
    """A state in the service's own word."""
    return api.JobState(state).name.removeprefix("JOB_STATE_")
