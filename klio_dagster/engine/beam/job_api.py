"""Calls of Beam's Job API: its answers in our words."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import grpc
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from klio_dagster.engine.remote.job import State
from klio_dagster.errors import NoJobError, RunError, ServiceUnavailableError

ANSWER_S = 30.0
_NAME_OPTION = "beam:option:job_name:v1"
STATES: Mapping[str, State] = {
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
        jobs = service.GetJobs(beam_job_api_pb2.GetJobsRequest(), timeout=ANSWER_S).job_info
    # Beam's SDK calls every job `job`, and says its name among the options.
    ours = [job for job in jobs if dict(job.pipeline_options.items()).get(_NAME_OPTION) == name]
    states = {job.job_id: beam_job_api_pb2.JobState.Enum.Name(job.state) for job in ours}
    return sorted(states, key=lambda job_id: STATES.get(states[job_id], State.RUNNING).has_ended)


def options_read_by(service: beam_job_api_pb2_grpc.JobServiceStub, kind: str) -> set[str]:
    """Names of the pipeline options that a service reads itself.

    Raises:
        RunError: the service refuses.
        ServiceUnavailableError: it did not answer.
    """
    request = beam_job_api_pb2.DescribePipelineOptionsRequest()
    with told_errors(kind):
        return {
            each.name for each in service.DescribePipelineOptions(request, timeout=ANSWER_S).options
        }


@contextmanager
def told_errors(kind: str) -> Generator[None]:
    """What a failed call means, in our words.

    Args:
        kind: of the engine.

    Raises:
        NoJobError: the service does not know the job that it is about.
        RunError: it refuses.
        ServiceUnavailableError: it did not answer.
    """
    where = f"engine '{kind}'"
    try:
        yield
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        code = error.code() if isinstance(error, grpc.Call) else None
        said = error.details() if isinstance(error, grpc.Call) else None
        what = " ".join((said or type(error).__name__).split())[:500]
        if code is grpc.StatusCode.NOT_FOUND:
            fix = "what is done stays done: run again for the rest"
            raise NoJobError(f"it is not known any more ({what})", where, fix) from error
        if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, None}:
            raise ServiceUnavailableError(
                f"its job service does not answer ({what})",
                where,
                "start it, or mend job_endpoint",
            ) from error
        raise RunError(
            f"its job service refuses ({what})", where, "mend that, then run again"
        ) from error
