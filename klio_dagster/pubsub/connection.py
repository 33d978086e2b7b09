"""The connection to Pub/Sub: one channel a process and settings, and how a call is made on it."""

import os
import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from urllib.parse import quote

from klio_dagster.pubsub.failures import Concern, call_error, credentials_error, is_transient
from klio_dagster.pubsub.settings import Settings

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError
    from google.oauth2.service_account import Credentials
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

Answer = TypeVar("Answer")

ANSWER_WITHIN_S = 12.0  # for all tries of a call together
MOST_ANSWER_BYTES = 128 * 1024 * 1024
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 2.0
CHANNEL_OPTIONS = (
    # A message may have 10 MB, an answer holds many; gRPC's own limit is 4 MiB. Without any, 1,000
    # large messages would fill this process.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", MOST_ANSWER_BYTES),
    # What became of each of 1,000 ack ids is told in the metadata of an error; gRPC takes 8 KiB.
    ("grpc.max_metadata_size", 4 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 30_000),
    # A server that comes back is found again within a call's time; gRPC would wait up to 120 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Connection(NamedTuple):
    """Both services on one channel. Safe for threads; a forked child makes its own."""

    publisher: "PublisherGrpcTransport"
    subscriber: "SubscriberGrpcTransport"


_connections: dict[tuple[int, Settings], Connection] = {}
_connecting = Lock()


def connection(settings: Settings) -> Connection:
    """The process's connection with these settings; made at the first call.

    Raises:
        PubSubError: there are no credentials.
    """
    key = (os.getpid(), settings)
    with _connecting:
        if key not in _connections:
            _connections[key] = _connect(settings)
        return _connections[key]


def answered(
    call: Callable[..., Answer],
    request: object,
    concern: Concern,
    *,
    within_s: float = ANSWER_WITHIN_S,
) -> Answer:
    """What a method of the API answers; failures that may pass are tried again for a while.

    Args:
        call: a transport's method.
        request: its request.
        concern: what it is about.
        within_s: seconds for all tries together.

    Raises:
        PubSubError: it failed, or nobody answered in time.
    """
    from google.api_core.exceptions import GoogleAPICallError

    try:
        return tried(call, request, concern, within_s=within_s)
    except GoogleAPICallError as error:
        raise call_error(error, concern) from error


def tried(
    call: Callable[..., Answer], request: object, concern: Concern, *, within_s: float
) -> Answer:
    """The same, with Google's own errors.

    Raises:
        GoogleAPICallError: it failed, or nobody answered in time.
    """
    from google.api_core.exceptions import GoogleAPICallError

    pause = Pause(within_s)
    while True:
        try:
            return call_once(call, request, concern, timeout_s=pause.left_s)
        except GoogleAPICallError as error:
            if not (is_transient(error) and pause.sleep()):
                raise


def call_once(
    call: Callable[..., Answer], request: object, concern: Concern, *, timeout_s: float
) -> Answer:
    """What a method of the API answers.

    Raises:
        GoogleAPICallError: it failed.
    """
    import grpc
    from google.api_core import exceptions as google

    # Google's front ends find the resource's servers by this header (AIP-4222).
    metadata = (("x-goog-request-params", f"{concern.kind}={quote(concern.path)}"),)
    try:
        return call(request, timeout=timeout_s, metadata=metadata)
    except grpc.RpcError as error:
        raise cast("GoogleAPICallError", cast("Any", google).from_grpc_error(error)) from error


class Pause:
    """Growing pauses between tries, until the time is over.

    Args:
        within_s: seconds for all tries together.
    """

    def __init__(self, within_s: float) -> None:
        self._ends_at = time.monotonic() + within_s
        self._delay_s = _FIRST_DELAY_S

    @property
    def left_s(self) -> float:
        """Seconds that a try may take."""
        return max(self._ends_at - time.monotonic(), _FIRST_DELAY_S)

    def sleep(self) -> bool:
        """Wait and return True; False, at once, when no time would be left after it."""
        if time.monotonic() + self._delay_s >= self._ends_at:
            return False
        time.sleep(self._delay_s)
        self._delay_s = min(2 * self._delay_s, _LONGEST_DELAY_S)
        return True


def _connect(settings: Settings) -> Connection:
    import grpc
    from google.auth.exceptions import GoogleAuthError
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    if settings.emulator_host:
        channel = grpc.insecure_channel(settings.emulator_host, options=CHANNEL_OPTIONS)
    else:
        try:
            channel = cast("Any", SubscriberGrpcTransport).create_channel(
                settings.endpoint or SubscriberGrpcTransport.DEFAULT_HOST,
                credentials=_credentials(settings),
                options=CHANNEL_OPTIONS,
            )
        except (GoogleAuthError, OSError, ValueError) as error:
            raise credentials_error(error, settings) from error
    return Connection(
        PublisherGrpcTransport(channel=channel), SubscriberGrpcTransport(channel=channel)
    )


def _credentials(settings: Settings) -> "Credentials | None":
    """None stands for the application default credentials."""
    if settings.credentials_file is None:
        return None
    from google.oauth2.service_account import Credentials

    return cast("Any", Credentials).from_service_account_file(settings.credentials_file)
