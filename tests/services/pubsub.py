"""Google's Pub/Sub emulator: started for the tests, on a free port of 127.0.0.1, and stopped."""

import http.client
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.services.ports import free_port

NOT_THERE = (
    "the Pub/Sub emulator is not installed (it needs java and "
    "`gcloud components install beta pubsub-emulator`)"
)
PROJECT = "klio-tests"  # any name of 6 to 30 characters: the emulator knows no projects
_START_S = 60.0


def program(memory: str = "256m") -> list[str] | None:
    """The command that starts it, without its arguments; None where it is not installed.

    Args:
        memory: java's heap. The emulator forgets nothing, acknowledged or not: with 256 MB it
            stops answering, without a word, after about 340,000 messages of 100 bytes.
    """
    gcloud, java = shutil.which("gcloud"), shutil.which("java")
    if gcloud is None or java is None:
        return None
    lib = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator" / "lib"
    jars = sorted(lib.glob("cloud-pubsub-emulator-*.jar"))
    return [java, f"-Xmx{memory}", "-jar", str(jars[-1])] if jars else None


@pytest.fixture
def pubsub_emulator(_pubsub_emulator: "PubSubEmulator") -> "PubSubEmulator":
    """A running emulator, whatever the test before did to it, or the test is skipped."""
    _pubsub_emulator.start()
    return _pubsub_emulator


@pytest.fixture(scope="session")
def _pubsub_emulator() -> "Iterator[PubSubEmulator]":
    command = program()
    if command is None:
        pytest.skip(NOT_THERE)
    emulator = PubSubEmulator(command)
    try:
        yield emulator
    finally:
        emulator.remove()


class PubSubEmulator:
    """An emulator that can be started again on the same port; it remembers nothing then.

    Args:
        command: what starts it, from `program()`.
    """

    project = PROJECT

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._folder = Path(tempfile.mkdtemp(prefix="klio-pubsub-"))
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """What `PUBSUB_EMULATOR_HOST` is set to."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._server is not None:
            return
        arguments = [*self._command, "--host=127.0.0.1", f"--port={self.port}"]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._server.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "the Pub/Sub emulator did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once; topics, subscriptions and messages are gone."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def remove(self) -> None:
        """End it and delete what it wrote."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_topic(self, name: str = "", project: str = PROJECT) -> str:
        """The full path of a new topic, by default of a random name."""
        path = f"projects/{project}/topics/{name or _random_name()}"
        with self._channel() as channel:
            _publisher(channel).create_topic(request={"name": path})
        return path

    def new_subscription(
        self, topic: str, name: str = "", project: str = PROJECT, **settings: Any
    ) -> str:
        """The full path of a new subscription, by default of a random name.

        Args:
            topic: full path of the topic.
            name: short name of the subscription.
            project: where it is made.
            settings: fields of the API's Subscription, like `enable_message_ordering=True`.
        """
        path = f"projects/{project}/subscriptions/{name or _random_name()}"
        with self._channel() as channel:
            _subscriber(channel).create_subscription(
                request={"name": path, "topic": topic} | settings
            )
        return path

    def delete_topic(self, topic: str) -> None:
        """Remove a topic; its subscriptions stay, without one."""
        with self._channel() as channel:
            _publisher(channel).delete_topic(request={"topic": topic})

    def delete_subscription(self, subscription: str) -> None:
        """Remove a subscription and what it holds."""
        with self._channel() as channel:
            _subscriber(channel).delete_subscription(request={"subscription": subscription})

    def _channel(self) -> Any:
        import grpc

        return grpc.insecure_channel(self.host)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _publisher(channel: Any) -> Any:
    from google.pubsub_v1.services.publisher import PublisherClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

    return PublisherClient(transport=PublisherGrpcTransport(channel=channel))


def _subscriber(channel: Any) -> Any:
    from google.pubsub_v1.services.subscriber import SubscriberClient
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


def _random_name() -> str:
    return f"klio-{uuid4().hex[:12]}"
