"""Services that speak Beam's Job API: Prism, and any other."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
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
from klio_dagster.engine.beam.job_api import (
    ANSWER_S,
    STATES,
    named,
    options_read_by,
    service_at,
    told_errors,
)
from klio_dagster.engine.beam.option_names import unknown_options
from klio_dagster.engine.beam.own_server import START_S, OwnServer, prism_server
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
from klio_dagster.engine.remote.place import address_of, is_here
from klio_dagster.errors import ConfigError

_LAST_WORDS_S = 5.0  # a job may be seen to have failed before it has said why
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
        found = named(service, job_name(manifest), self._options.kind)
        # A service that was started anew gives old ids to new jobs: the name has to fit, too.
        ids = [each for each in found if job_id in {None, each}]
        return PortableJob(service, self._info(manifest, ids[0]), None) if ids else None

    def check(self, start_s: float = START_S) -> Iterator[Answer]:
        """Whether the service answers, and workers can be started.

        Args:
            start_s: how long a service that a run starts may take until it listens, in seconds.

        Raises:
            ConfigError: there is no such file.
            RunError: it refuses, or does not listen.
            ServiceUnavailableError: it does not answer.
        """
        yield from service_answers(self._options, "job service", lambda: self._own_server(start_s))

    def _own_server(self, within_s: float = START_S) -> OwnServer:
        assert isinstance(self._options, PrismOptions)
        return prism_server(self._options.location, within_s)

    def _info(self, manifest: Manifest, job_id: str) -> JobInfo:
        return JobInfo(engine=self._options.kind, id=job_id, name=job_name(manifest))


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
        self._listener = self._listening()

    @property
    def info(self) -> JobInfo:
        """How people find it."""
        return self._info

    def look(self) -> Look:
        """Its state, and what is new.

        Raises:
            NoJobError: it does not know the job any more.
            RunError: it refuses.
            ServiceUnavailableError: the service did not answer.
        """
        shown = self._state()
        new: list[Message] = []
        while self._messages:
            new.append(self._messages.popleft())
        return Look(STATES.get(shown, State.RUNNING), shown, new)

    def cancel(self) -> None:
        """Ask for its end.

        Raises:
            ServiceUnavailableError: the service did not answer.
            RunError: it does not know the job.
        """
        request = beam_job_api_pb2.CancelJobRequest(job_id=self._info.id)
        with told_errors(self._info.engine):
            self._service.Cancel(request, timeout=ANSWER_S)

    def error(self) -> str:
        """Why it failed."""
        self._listener.join(_LAST_WORDS_S)
        if not self._errors and not self._listener.is_alive():
            # Its stream may have broken before: it tells all of it again.
            self._listener = self._listening()
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
            answer = self._service.GetState(request, timeout=ANSWER_S)
        return beam_job_api_pb2.JobState.Enum.Name(answer.state)

    def _listening(self) -> Thread:
        thread = Thread(target=self._listen, daemon=True)
        thread.start()
        return thread

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
    fields = {
        **pipeline_options(options, endpoint),
        **options.pipeline_options,
        "job_name": job_name(manifest),  # it is found again by that
    }
    try:
        given = PipelineOptions(flags=[], **fields)
        pipeline = beam.Pipeline(runner=PortableRunner(), options=given)
        build(pipeline, manifest)
        with told_errors(options.kind):
            result: Any = pipeline.run()
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigError(
            " ".join(str(error).split())[:500] or type(error).__name__,
            where=f"engine '{options.kind}'",
            fix="mend its options, then run again",
        ) from error
    return result._job_service, result._job_id  # noqa: SLF001 - they have no other names


def pipeline_options(options: PortableOptions, endpoint: str) -> dict[str, Any]:
    """What Beam is told of the service and its workers."""
    return {
        "job_endpoint": endpoint,
        "environment_type": options.environment.upper(),
        "environment_config": _environment(options),
    }


def service_answers(
    options: PortableOptions, what: str, start: Callable[[], OwnServer]
) -> Iterator[Answer]:
    """Whether a job service answers, reads the options, and workers can be started.

    Args:
        options: of the engine.
        what: the service is called.
        start: starts it, where it has no endpoint.

    Raises:
        ConfigError: there is no such file.
        RunError: it refuses, or does not listen.
        ServiceUnavailableError: it does not answer.
    """
    server = None if options.job_endpoint else start()
    endpoint = server.endpoint if server else options.job_endpoint
    try:
        service = service_at(endpoint)
        named(service, "", options.kind)
        others = options_read_by(service, options.kind)
    finally:
        if server:
            server.stop()
    yield Answer(what, "it starts" if server else f"{endpoint} answers")
    yield from unknown_options(options.pipeline_options, others)
    yield _worker_answer(options)


def _worker_answer(options: PortableOptions) -> Answer:
    """Whether the command that starts a worker is where it is to be, if that is here.

    Raises:
        ConfigError: there is none.
    """
    if options.environment != "process":
        told = options.worker or "as environment_options say"
        return Answer("worker", f"{options.environment}: {told}")
    command = options.worker or _own_worker()
    if not is_here(address_of(options)):
        where = address_of(options)
        said = f"{command} has to be where {where} starts workers; nobody sees that from here"
        remedy = f"look there, or set worker= to where {NAME} is"
        return Answer("worker", said, Verdict.WARN, remedy)
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
