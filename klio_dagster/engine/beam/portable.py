"""Services that speak Beam's Job API: Prism, and any other."""

import os
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from json import dumps
from pathlib import Path
from threading import Thread
from typing import Any, cast

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.portability.job_server import JobServer
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.prism_runner import PrismRunner

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.beam.pipeline import build
from klio_dagster.engine.beam.reason import reason_of
from klio_dagster.engine.beam.sdk_worker import NAME
from klio_dagster.engine.options import PortableOptions, PrismOptions
from klio_dagster.engine.remote.job import Bill, JobInfo, Look, Message, State, job_name
from klio_dagster.errors import ConfigError, KlioError, RunError, ServiceUnavailableError

_ANSWER_S = 30.0
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
        server, result = submitted(manifest, self._options, _runner_of(self._options))
        service, job_id = result._job_service, result._job_id  # noqa: SLF001 - it has no other name
        return PortableJob(service, self._info(manifest, job_id), server)

    def find(self, manifest: Manifest, job_id: str | None) -> "PortableJob | None":
        """The job of a manifest; None where there is none, or nobody knows its id.

        Raises:
            ServiceUnavailableError: the service did not answer.
        """
        if job_id is None or not self._options.job_endpoint:
            return None
        service = beam_job_api_pb2_grpc.JobServiceStub(
            grpc.insecure_channel(self._options.job_endpoint)
        )
        job = PortableJob(service, self._info(manifest, job_id), None)
        return job if job.is_known() else None

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
        server: JobServer | None,
    ) -> None:
        self._service, self._info, self._server = service, info, server
        self._messages: deque[Message] = deque()
        self._errors: list[str] = []
        Thread(target=self._listen, daemon=True).start()

    @property
    def info(self) -> JobInfo:
        """How people find it."""
        return self._info

    def is_known(self) -> bool:
        """The service knows it.

        Raises:
            ServiceUnavailableError: it did not answer.
        """
        try:
            self._state()
        except RunError:
            return False
        return True

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
        self._ask("Cancel", beam_job_api_pb2.CancelJobRequest(job_id=self._info.id))

    def error(self) -> str:
        """Why it failed."""
        return reason_of(self._errors)

    def bill(self) -> Bill:
        """Nothing: these services count nothing that costs."""
        return Bill()

    def close(self) -> None:
        """End the server that was started for it, and with Prism the job."""
        if self._server is not None:
            self._server.stop()

    def _state(self) -> str:
        answer = self._ask("GetState", beam_job_api_pb2.GetJobStateRequest(job_id=self._info.id))
        return beam_job_api_pb2.JobState.Enum.Name(answer.state)

    def _ask(self, method: str, request: object) -> Any:
        try:
            return getattr(self._service, method)(request, timeout=_ANSWER_S)
        except grpc.RpcError as error:
            raise rpc_error(error, self._info.engine) from error

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
    manifest: Manifest, options: PortableOptions, runner: PortableRunner
) -> tuple[JobServer | None, Any]:
    """A manifest's pipeline, submitted: the job server that was started for it, and Beam's result.

    Raises:
        ConfigError: the engine's options are wrong, or the service refuses the job.
        ServiceUnavailableError: it did not answer.
    """
    held: list[JobServer] = []
    if not options.job_endpoint:
        # Beam ends it when this process exits in an orderly way, which it never does.
        make: Any = runner.default_job_server

        def hold(given: PipelineOptions) -> JobServer:
            server: JobServer = make(given)
            held.append(server)
            return server

        cast("Any", runner).default_job_server = hold
    fields = {**pipeline_options(manifest, options), **options.pipeline_options}
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions(flags=[], **fields))
    build(pipeline, manifest)
    try:
        result = pipeline.run()
    except KlioError:
        raise
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        raise rpc_error(error, options.kind) from error
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigError(
            " ".join(str(error).split())[:500] or type(error).__name__,
            where=f"engine '{options.kind}'",
            fix="mend its options, then run again",
        ) from error
    return (held[0] if held else None), result


def pipeline_options(manifest: Manifest, options: PortableOptions) -> dict[str, Any]:
    """What Beam is told of the service and its workers."""
    fields: dict[str, Any] = {"job_name": job_name(manifest.run)}
    if options.job_endpoint:
        fields["job_endpoint"] = options.job_endpoint
    fields["environment_type"] = options.environment.upper()
    fields["environment_config"] = _environment(options)
    if isinstance(options, PrismOptions) and options.location:
        fields["prism_location"] = options.location
    return fields


def rpc_error(error: grpc.RpcError | grpc.FutureTimeoutError, kind: str) -> KlioError:
    """What a failed call means."""
    where = f"engine '{kind}'"
    code = error.code() if isinstance(error, grpc.Call) else None
    said = error.details() if isinstance(error, grpc.Call) else None
    what = " ".join((said or type(error).__name__).split())[:500]
    passes = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, None}
    if code in passes:
        return ServiceUnavailableError(
            f"its job service does not answer ({what})", where, "start it, or mend job_endpoint"
        )
    return RunError(f"its job service refuses ({what})", where, "mend that, then run again")


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


def _runner_of(options: PortableOptions) -> PortableRunner:
    if isinstance(options, PrismOptions) and not options.job_endpoint:
        return PrismRunner()
    return PortableRunner()
