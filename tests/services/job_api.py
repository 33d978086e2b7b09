"""Beam's Job API, as Prism and Beam's job servers speak it."""

from contextlib import suppress
from typing import Self

import grpc
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc as services


class JobApi:
    """Asks a job endpoint, as a context.

    Args:
        endpoint: `host:port`.
    """

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.insecure_channel(endpoint)
        self._service = services.JobServiceStub(self._channel)

    def __enter__(self) -> Self:
        grpc.channel_ready_future(self._channel).result(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def jobs(self) -> dict[str, tuple[str, str]]:
        """Name and state of every job it knows, by id.

        The name is out of the job's options: Beam's Python SDK calls every job `job` otherwise.
        """
        infos = self._service.GetJobs(api.GetJobsRequest(), timeout=10).job_info
        return {info.job_id: (_name(info), api.JobState.Enum.Name(info.state)) for info in infos}

    def state(self, job: str) -> str:
        request = api.GetJobStateRequest(job_id=job)
        return api.JobState.Enum.Name(self._service.GetState(request, timeout=10).state)

    def states(self, job: str, within_s: float) -> list[str]:
        """States as the stream tells them, to its end or the end of the time."""
        found: list[str] = []
        with suppress(grpc.RpcError):
            request = api.GetJobStateRequest(job_id=job)
            events = self._service.GetStateStream(request, timeout=within_s)
            found.extend(api.JobState.Enum.Name(event.state) for event in events)
        return found

    def messages(self, job: str, within_s: float) -> list[str]:
        """Texts of messages as the stream tells them, to its end or the end of the time."""
        found: list[str] = []
        with suppress(grpc.RpcError):
            request = api.JobMessagesRequest(job_id=job)
            events = self._service.GetMessageStream(request, timeout=within_s)
            messages = (event for event in events if event.HasField("message_response"))
            found.extend(event.message_response.message_text for event in messages)
        return found

    def cancel(self, job: str) -> str:
        """The state it says the job is in then."""
        request = api.CancelJobRequest(job_id=job)
        return api.JobState.Enum.Name(self._service.Cancel(request, timeout=10).state)


def _name(info: api.JobInfo) -> str:
    options = dict(info.pipeline_options.items())
    return str(options.get("beam:option:job_name:v1", info.job_name))
