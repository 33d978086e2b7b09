"""Beam's Job API that says what a test wants; no job is executed."""

import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc as services
from google.protobuf import struct_pb2

from tests.services.scripted import next_of

_NAME = "beam:option:job_name:v1"
_ENDED = ("DONE", "FAILED", "CANCELLED")


@dataclass
class JobScript:
    """A job.

    Args:
        id: of the job.
        name: among its options; the API's own name of it is always `job`.
        states: that it is in, one a question; it stays in the last one.
        when_cancelled: the same from when its end was asked for.
        messages: importance and text of what it says.
        late_s: so long after it was asked it says that.
    """

    id: str
    name: str
    states: list[str] = field(default_factory=lambda: ["RUNNING"])
    when_cancelled: list[str] = field(default_factory=lambda: ["CANCELLING", "CANCELLED"])
    messages: list[tuple[str, str]] = field(default_factory=list)
    late_s: float = 0.0


class ScriptedJobService(services.JobServiceServicer):
    """A job service, as a context.

    A method of `refused` is answered with that status. It `reads` options of those names.
    `next_job` is what becomes of the pipeline that is submitted next.
    """

    def __init__(self) -> None:
        self.jobs: list[JobScript] = []
        self.next_job = JobScript("submitted-1", "")
        self.asked: list[str] = []
        self.given: dict[str, Any] = {}
        self.reads: list[str] = []
        self.refused: dict[str, tuple[grpc.StatusCode, str]] = {}
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        services.add_JobServiceServicer_to_server(self, self._server)
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.stop(0).wait()

    def add(self, job_id: str, name: str, **script: Any) -> JobScript:
        self.jobs.append(JobScript(job_id, name, **script))
        return self.jobs[-1]

    def DescribePipelineOptions(self, request: Any, context: Any) -> Any:
        self._asked("DescribePipelineOptions", context)
        options = [api.PipelineOptionDescriptor(name=name) for name in self.reads]
        return api.DescribePipelineOptionsResponse(options=options)

    def Prepare(self, request: Any, context: Any) -> Any:
        self._asked("Prepare", context)
        self.given = dict(request.pipeline_options.items())
        return api.PrepareJobResponse(preparation_id="prepared-1")

    def Run(self, request: Any, context: Any) -> Any:
        self._asked("Run", context)
        self.next_job.name = self.given[_NAME]
        self.jobs.append(self.next_job)
        return api.RunJobResponse(job_id=self.next_job.id)

    def GetJobs(self, request: Any, context: Any) -> Any:
        self._asked("GetJobs", context)
        return api.GetJobsResponse(job_info=[_info(job) for job in self.jobs])

    def GetState(self, request: Any, context: Any) -> Any:
        self._asked("GetState", context)
        return api.JobStateEvent(state=next_of(self._job(request, context).states))

    def GetStateStream(self, request: Any, context: Any) -> Iterator[Any]:
        yield api.JobStateEvent(state=self._job(request, context).states[0])

    def GetMessageStream(self, request: Any, context: Any) -> Iterator[Any]:
        job = self._job(request, context)
        time.sleep(job.late_s)
        for importance, text in job.messages:
            said = api.JobMessage(importance=f"JOB_MESSAGE_{importance}", message_text=text)
            yield api.JobMessagesResponse(message_response=said)

    def Cancel(self, request: Any, context: Any) -> Any:
        self._asked("Cancel", context)
        job = self._job(request, context)
        if job.states[0] not in _ENDED:
            job.states = list(job.when_cancelled)
        return api.CancelJobResponse(state=job.states[0])

    def _job(self, request: Any, context: grpc.ServicerContext) -> JobScript:
        for job in self.jobs:
            if job.id == request.job_id:
                return job
        context.abort(grpc.StatusCode.NOT_FOUND, f"job {request.job_id} not found")
        raise AssertionError("abort raises")

    def _asked(self, method: str, context: grpc.ServicerContext) -> None:
        self.asked.append(method)
        if method in self.refused:
            context.abort(*self.refused[method])


def _info(job: JobScript) -> Any:
    options = struct_pb2.Struct()
    options.update({_NAME: job.name})
    state = api.JobState.Enum.Value(job.states[0])
    return api.JobInfo(job_id=job.id, job_name="job", pipeline_options=options, state=state)
