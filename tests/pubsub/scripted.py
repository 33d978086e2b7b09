"""A server that speaks Pub/Sub's protocol and fails as it is told, where the emulator cannot."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
from google.iam.v1 import iam_policy_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1.types import pubsub
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from klio_dagster.pubsub.settings import Settings

_METHODS = {
    "google.pubsub.v1.Publisher": {
        "Publish": (pubsub.PublishRequest, pubsub.PublishResponse),
        "GetTopic": (pubsub.GetTopicRequest, pubsub.Topic),
    },
    "google.iam.v1.IAMPolicy": {
        "TestIamPermissions": (
            iam_policy_pb2.TestIamPermissionsRequest,
            iam_policy_pb2.TestIamPermissionsResponse,
        ),
    },
    "google.pubsub.v1.Subscriber": {
        "Pull": (pubsub.PullRequest, pubsub.PullResponse),
        "Acknowledge": (pubsub.AcknowledgeRequest, None),
        "ModifyAckDeadline": (pubsub.ModifyAckDeadlineRequest, None),
        "GetSubscription": (pubsub.GetSubscriptionRequest, pubsub.Subscription),
    },
}


def failure(
    code: grpc.StatusCode,
    text: str = "",
    *,
    reason: str = "",
    told: Mapping[str, str] | None = None,
) -> Status:
    """What a method ends with.

    Args:
        code: gRPC's.
        text: the message.
        reason: of Google's ErrorInfo.
        told: its metadata: what became of each ack id.
    """
    details = []
    if reason or told:
        info = AnyMessage()
        info.Pack(ErrorInfo(reason=reason, domain="pubsub.googleapis.com", metadata=told or {}))
        details = [info]
    return Status(code=code.value[0], message=text, details=details)


class ScriptedPubSub:
    """Takes everything and has nothing, except what `answers` says.

    `requests` are those that came, by method; `answers` what the next calls of a method get: a
    response, a failure, or None for the usual.
    """

    def __init__(self) -> None:
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.answers: dict[str, list[object]] = defaultdict(list)
        self.headers: list[Mapping[str, str]] = []
        self._server = grpc.server(
            ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)]
        )
        for service, methods in _METHODS.items():
            handlers = {name: self._handler(name, *types) for name, types in methods.items()}
            self._server.add_generic_rpc_handlers(
                [grpc.method_handlers_generic_handler(service, handlers)]
            )
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._server.stop(grace=None).wait()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        return Settings("my-project", emulator_host=self.host)

    def script(self, method: str, answers: Sequence[object]) -> None:
        """What the next calls of a method get."""
        self.answers[method] = list(answers)

    def _handler(self, name: str, request_type: Any, response_type: Any) -> Any:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self.requests[name].append(request)
            self.headers.append({key: str(value) for key, value in context.invocation_metadata()})
            said = self.answers[name].pop(0) if self.answers[name] else None
            if isinstance(said, Status):
                context.abort_with_status(rpc_status.to_status(said))
            return said or (response_type or Empty)()

        return grpc.unary_unary_rpc_method_handler(
            answer,
            # Google's wrappers and plain protobufs have different words for it.
            request_deserializer=getattr(request_type, "deserialize", None)
            or request_type.FromString,
            response_serializer=getattr(response_type, "serialize", None)
            or (response_type or Empty).SerializeToString,
        )
