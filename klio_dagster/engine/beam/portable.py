"""Services that speak Beam's Job API: Prism, and any other."""

import os
import sys
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from json import dumps
from pathlib import Path
from threading import Thread
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import PortableRunner

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.beam.own_server import OwnServer, prism_server
from klio_dagster.engine.beam.pipeline import build
from klio_dagster.engine.beam.reason import reason_of
from klio_dagster.engine.beam.sdk_worker import NAME
from klio_dagster.engine.options import PortableOptions, PrismOptions
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
from klio_dagster.errors import ConfigError, RunError, ServiceUnavailableError

_ANSWER_S = 30.0
_LAST_WORDS_S = 5.0
_NAME_OPTION = "beam:option:job_name:v1"
_STATES: Mapping[str, State] = {
    "STOPPED": State.WAITING,
    "STARTING": State.WAITING,
    "RUNNING": State.RUNNING,
    "DRAINING": State.RUNNING,
    "UPDATING": State.RUNNING,
    "CANCELLING": State.CANCELLING,
    "DONE": State.DONE,
    "DRAINED": State.DONE,
    "UPDATED": State.DONE,
    "FAILED": State.FAILED,
    "CANCELLED": State.CANCELLED,
}
_IMPORTANT = beam_job_api_pb2.JobMessage.JOB_MESSAGE_WARNING


class Portable:
    """Submits through a Job API, and finds jobs there by their id.

    Args:
        options: of the engine.
    """

    def __init__(self, options: PortableOptions) -> None:
        self._options = options

    def submit(self, manifest: Manifest) -> "PortableJob":
        """Have a manifest carried out.

        Raises:
            ConfigError: the engine's options are wrong, or the service refuses the job.
            ServiceUnavailableError: it did not answer.
        """
        server = None if self._options.job_endpoint else self._own_server()
        endpoint = server.endpoint if server else self._options.job_endpoint
        try:
            service, job_id = submitted(manifest, self._options, endpoint)
        except BaseException:
            if server:
                server.stop()
            raise
        return PortableJob(service, self._info(manifest, job_id), server)

    def find(self, manifest: Manifest, job_id: str | None) -> "PortableJob | None":
        """The job of a manifest, one that goes on first; None where there is none.

        Raises:
            RunError: the service refuses.
            ServiceUnavailableError: it did not answer.
        """
        if not self._options.job_endpoint:  # its server ended with the driver, and with it the job
            return None
        service = service_at(self._options.job_endpoint)
        found = named(service, job_name(manifest.run), self._options.kind)
        # A service that was started anew gives old ids to new jobs: the name has to fit, too.
        ids = [each for each in found if job_id in {None, each}]
        return PortableJob(service, self._info(manifest, ids[0]), None) if ids else None

    def check(self) -> Iterator[Answer]:
        """Whether the service answers, and workers can be started.

        Raises:
            ConfigError: there is no such file.
            RunError: it refuses, or does not listen.
            ServiceUnavailableError: it does not answer.
        """
        if self._options.job_endpoint:
            service = service_at(self._options.job_endpoint)
            named(service, "", self._options.kind)
            yield Answer("job service", f"{self._options.job_endpoint} answers")
        else:
            self._own_server().stop()
            yield Answer("job service", "it starts")
        yield worker_answer(self._options)

    def _own_server(self) -> OwnServer:
        assert isinstance(self._options, PrismOptions)
        return prism_server(self._options.location)

    def _info(self, manifest: Manifest, job_id: str) -> JobInfo:
        return JobInfo(engine=self._options.kind, id=job_id, name=job_name(manifest.run))


class PortableJob:
    """A job of a Job API.

    Args:
        service: the API.
        info: how people find the job.
        server: that was started for it; ended with it.
    """

    def __init__(
        self,
        service: beam_job_api_pb2_grpc.JobServiceStub,
        info: JobInfo,
        server: OwnServer | None,
    ) -> None:
        self._service, self._info, self._server = service, info, server
        self._messages: deque[Message] = deque()
        self._errors: list[str] = []
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

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
        shown = self._state()
        new: list[Message] = []
        while self._messages:
            new.append(self._messages.popleft())
        return Look(_STATES.get(shown, State.RUNNING), shown, new)

    def cancel(self) -> None:
        """Ask for its end.

        Raises:
            ServiceUnavailableError: the service did not answer.
            RunError: it does not know the job.
        """
        request = beam_job_api_pb2.CancelJobRequest(job_id=self._info.id)
        with told_errors(self._info.engine):
            self._service.Cancel(request, timeout=_ANSWER_S)

    def error(self) -> str:
        """Why it failed: what it says ends with it, a moment later than its state is seen."""
        self._listener.join(_LAST_WORDS_S)
        return reason_of(self._errors)

    def bill(self) -> Bill:
        """Nothing: these services count nothing that costs."""
        return Bill()

    def close(self) -> None:
        """End the server that was started for it, and with Prism the job."""
        if self._server is not None:
            self._server.stop()

    def _state(self) -> str:
        request = beam_job_api_pb2.GetJobStateRequest(job_id=self._info.id)
        with told_errors(self._info.engine):
            answer = self._service.GetState(request, timeout=_ANSWER_S)
        return beam_job_api_pb2.JobState.Enum.Name(answer.state)

    def _listen(self) -> None:
        request = beam_job_api_pb2.JobMessagesRequest(job_id=self._info.id)
        with suppress(grpc.RpcError, ValueError):  # what it says no more nobody can read
            for each in self._service.GetMessageStream(request):
                if not each.HasField("message_response"):
                    continue
                said = each.message_response
                is_error = said.importance > _IMPORTANT
                if is_error:
                    self._errors.append(said.message_text)
                if said.importance >= _IMPORTANT:
                    self._messages.append(Message(said.message_text, is_error))


def submitted(
    manifest: Manifest, options: PortableOptions, endpoint: str
) -> tuple[beam_job_api_pb2_grpc.JobServiceStub, str]:
    """A manifest's pipeline, submitted: the service and the id of the job there.

    Raises:
        ConfigError: the engine's options are wrong, or the service refuses the job.
        ServiceUnavailableError: it did not answer.
    """
    fields = {**pipeline_options(manifest, options, endpoint), **options.pipeline_options}
    given = PipelineOptions(flags=[], **fields)
    pipeline = beam.Pipeline(runner=PortableRunner(), options=given)
    build(pipeline, manifest)
    try:
        with told_errors(options.kind):
            result: Any = pipeline.run()
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigError(
            " ".join(str(error).split())[:500] or type(error).__name__,
            where=f"engine '{options.kind}'",
            fix="mend its options, then run again",
        ) from error
    return result._job_service, result._job_id  # noqa: SLF001 - they have no other names


def service_at(endpoint: str) -> beam_job_api_pb2_grpc.JobServiceStub:
    """The Job API at an address. Nobody is asked yet."""
    return beam_job_api_pb2_grpc.JobServiceStub(grpc.insecure_channel(endpoint))


def named(service: beam_job_api_pb2_grpc.JobServiceStub, name: str, kind: str) -> list[str]:
    """Ids of the jobs of a name, those that go on first.

    Raises:
        RunError: the service refuses.
        ServiceUnavailableError: it did not answer.
    """
    with told_errors(kind):
        jobs = service.GetJobs(beam_job_api_pb2.GetJobsRequest(), timeout=_ANSWER_S).job_info
    # Beam's SDK calls every job `job`, and says its name among the options.
    ours = [job for job in jobs if dict(job.pipeline_options.items()).get(_NAME_OPTION) == name]
    states = {job.job_id: beam_job_api_pb2.JobState.Enum.Name(job.state) for job in ours}
    return sorted(states, key=lambda job_id: _STATES.get(states[job_id], State.RUNNING).has_ended)


def pipeline_options(manifest: Manifest, options: PortableOptions, endpoint: str) -> dict[str, Any]:
    """What Beam is told of the service and its workers."""
    return {
        "job_name": job_name(manifest.run),
        "job_endpoint": endpoint,
        "environment_type": options.environment.upper(),
        "environment_config": _environment(options),
    }


@contextmanager
def told_errors(kind: str) -> Generator[None]:
    """What a failed call means, in our words.

    Args:
        kind: of the engine.

    Raises:
        RunError: the service refuses.
        ServiceUnavailableError: it did not answer.
    """
    where = f"engine '{kind}'"
    try:
        yield
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        code = error.code() if isinstance(error, grpc.Call) else None
        said = error.details() if isinstance(error, grpc.Call) else None
        what = " ".join((said or type(error).__name__).split())[:500]
        if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, None}:
            raise ServiceUnavailableError(
                f"its job service does not answer ({what})",
                where,
                "start it, or mend job_endpoint",
            ) from error
        raise RunError(
            f"its job service refuses ({what})", where, "mend that, then run again"
        ) from error


def worker_answer(options: PortableOptions) -> Answer:
    """Whether the command that starts a worker is here, where it is to be.

    Raises:
        ConfigError: there is none.
    """
    if options.environment != "process":
        return Answer("worker", f"{options.environment}: {options.worker}")
    command = options.worker or _own_worker()
    if Path(command).exists():
        return Answer("worker", command)
    said = f"{command} is not on this machine; it has to be where the workers run"
    return Answer("worker", said, Verdict.WARN, "look there, or mend worker=")


def _environment(options: PortableOptions) -> str | None:
    if options.environment != "process":
        return options.worker
    command = options.worker or _own_worker()
    variables = dict(options.variables)
    if options.worker is None:  # the same machine: what is imported here is imported there
        variables.setdefault("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    return dumps({"command": command, "env": variables})


def _own_worker() -> str:
    """The command of this environment that starts a worker.

    Raises:
        ConfigError: there is none.
    """
    path = Path(sys.executable).with_name(NAME)
    if not path.exists():
        raise ConfigError(
            f"there is no {NAME} beside {sys.executable}",
            where="engine",
            fix=f"install klio-dagster as a package, or set worker= to where {NAME} is",
        )
    return str(path)
