"""The process of `klio-sdk-worker`: asks the runner what it is to be, and is Beam's SDK worker.

It ends with its control connection, whatever its threads are doing: a runner that is gone has no
use for it, and another worker may be computing the same by then.
"""

import os
import sys
from collections.abc import Sequence

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format

from klio_dagster.engine.beam.sdk_worker import NAME, Given, given
from klio_dagster.errors import RunError

_ANSWER_S = 60.0
_FAILED = 1
# Every Python pipeline stages this list of what its submitter had installed; nothing needs it.
_ONLY_TOLD = "submission_environment_dependencies.txt"


def main(arguments: Sequence[str]) -> int:
    """Work until the runner hangs up.

    Returns:
        0 when it has hung up in an orderly way, 1 otherwise.
    """
    asked = given(arguments)
    try:
        information = provisioned(asked)
    except RunError as error:
        sys.stderr.write(f"{NAME}: {error}\n")
        return _FAILED
    if staged := staged_files(information):
        sys.stderr.write(
            f"{NAME}: not fetched: {', '.join(staged)}; install what the job needs where its "
            "workers run\n"
        )
    os.environ.update(harness_environment(asked, information))
    from apache_beam.runners.worker import sdk_worker_main

    try:
        sdk_worker_main.main([NAME])
    except Exception:  # noqa: BLE001 - Beam has logged it, to the runner if that still listens
        return _FAILED
    return 0


def provisioned(asked: Given) -> beam_provision_api_pb2.ProvisionInfo:
    """What the runner tells this worker.

    Raises:
        RunError: it does not answer.
    """
    with grpc.insecure_channel(asked.provision) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        try:
            # One server serves many workers, and tells them apart by the metadata alone.
            answer = service.GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                metadata=(("worker_id", asked.worker),),
                timeout=_ANSWER_S,
                wait_for_ready=True,
            )
        except grpc.RpcError as error:
            said = error.details() if isinstance(error, grpc.Call) else str(error)
            raise RunError(
                f"the runner did not say what worker '{asked.worker}' is to do ({said})",
                where=f"provision service {asked.provision}",
                fix="look into the runner's log: it has ended or knows no such worker",
            ) from None
    return answer.info


def harness_environment(
    asked: Given, information: beam_provision_api_pb2.ProvisionInfo
) -> dict[str, str]:
    """The variables that Beam's worker reads."""
    environment = {
        "WORKER_ID": asked.worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(information.pipeline_options),
        "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(
            information.control_endpoint, asked.control or asked.provision
        ),
        "LOGGING_API_SERVICE_DESCRIPTOR": _descriptor(
            information.logging_endpoint, asked.logging or asked.provision
        ),
        "RUNNER_CAPABILITIES": " ".join(information.runner_capabilities),
    }
    if information.status_endpoint.url:
        status = _descriptor(information.status_endpoint, "")
        environment["STATUS_API_SERVICE_DESCRIPTOR"] = status
    return environment


def staged_files(information: beam_provision_api_pb2.ProvisionInfo) -> list[str]:
    """Names of the files that were staged with the job for its workers."""
    from apache_beam.portability.api import beam_runner_api_pb2

    names: list[str] = []
    for artifact in information.dependencies:
        role = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload)
        names.append(role.staged_name)
    return sorted(name for name in names if name != _ONLY_TOLD)


def _descriptor(told: endpoints_pb2.ApiServiceDescriptor, otherwise: str) -> str:
    """A service as Beam's worker reads it."""
    service = told if told.url else endpoints_pb2.ApiServiceDescriptor(url=otherwise)
    return text_format.MessageToString(service)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a bundle may be at work in a thread; its pool ends with this process
