"""A runner as an SDK worker sees it: a provision, a logging and a control service."""

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from queue import Queue

import grpc
from apache_beam.portability.api import (
    beam_fn_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
    endpoints_pb2,
)
from google.protobuf import struct_pb2


class Runner(
    beam_provision_api_pb2_grpc.ProvisionServiceServicer,
    beam_fn_api_pb2_grpc.BeamFnControlServicer,
    beam_fn_api_pb2_grpc.BeamFnLoggingServicer,
):
    """A runner that starts one worker, and hears what it says."""

    def __init__(self, *, names_services: bool) -> None:
        self._names_services = names_services
        self.asked_by: Queue[str] = Queue()
        self.worker: Queue[str] = Queue()
        self.logged: list[str] = []
        self.hangs_up = threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(self, self._server)
        beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(self, self._server)
        beam_fn_api_pb2_grpc.add_BeamFnLoggingServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        """Without a word to the worker."""
        self._server.stop(0).wait(1)  # or the handler might end first, in an orderly way
        self.hangs_up.set()

    def GetProvisionInfo(self, request, context):
        self.asked_by.put(_worker_of(context))
        options = struct_pb2.Struct()
        options.update({"beam:option:job_name:v1": "of-the-test"})
        information = beam_provision_api_pb2.ProvisionInfo(
            pipeline_options=options,
            dependencies=[staged("submission_environment_dependencies.txt"), staged("a.whl")],
        )
        if self._names_services:
            there = endpoints_pb2.ApiServiceDescriptor(url=self.address)
            information.control_endpoint.CopyFrom(there)
            information.logging_endpoint.CopyFrom(there)
        return beam_provision_api_pb2.GetProvisionInfoResponse(info=information)

    def Control(self, request_iterator, context):
        self.worker.put(_worker_of(context))
        self.hangs_up.wait()
        yield from ()

    def Logging(self, request_iterator, context):
        for entries in request_iterator:
            self.logged.extend(entry.message for entry in entries.log_entries)
        yield from ()


def _worker_of(context: grpc.ServicerContext) -> str:
    return str(dict(context.invocation_metadata())["worker_id"])


def staged(name: str) -> beam_runner_api_pb2.ArtifactInformation:
    role = beam_runner_api_pb2.ArtifactStagingToRolePayload(staged_name=name)
    return beam_runner_api_pb2.ArtifactInformation(role_payload=role.SerializeToString())


@contextmanager
def runner(*, names_services: bool = True) -> Iterator[Runner]:
    started = Runner(names_services=names_services)
    try:
        yield started
    finally:
        started.stop()
