"""`Subscription`: messages are pulled, kept while they are worked on, and acknowledged."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from klio_dagster.errors import ConfigError, PubSubError
from klio_dagster.pubsub.acks import refused
from klio_dagster.pubsub.connection import ANSWER_WITHIN_S, Connection, answered, connection, tried
from klio_dagster.pubsub.failures import Concern, call_error, is_too_large
from klio_dagster.pubsub.leases import Leases
from klio_dagster.pubsub.settings import Settings, subscription_path

if TYPE_CHECKING:
    from google.pubsub_v1.types import PullResponse, ReceivedMessage

SUBSCRIBER_ROLE = "roles/pubsub.subscriber"
VIEWER_ROLE = "roles/pubsub.viewer"
_MOST_A_PULL = 1_000  # the service's limit; the emulator gives 100 whatever it is asked
_MOST_EXTENSION_S = 600
_SURE_TO_FIT = 10  # into MOST_ANSWER_BYTES, however large they are
_ONE_MORE_WITHIN_S = 2.0  # what is there already should not wait for a server that does not answer


class Received(NamedTuple):
    """One delivery of a message.

    Args:
        data: its bytes.
        attributes: as the sender set them.
        message_id: Pub/Sub's; a redelivered message has the same.
        published_at: when Pub/Sub took it, seconds since the epoch.
        ack_id: names this delivery.
        ordering_key: empty unless the sender set one.
        delivery_attempt: from 1; 0 unless the subscription has a dead letter policy.
    """

    data: bytes
    attributes: Mapping[str, str]
    message_id: str
    published_at: float
    ack_id: str
    ordering_key: str = ""
    delivery_attempt: int = 0


class Subscription:
    """A subscription that is pulled from. Cheap to make: the connection is the process's.

    Every method raises `PubSubError` when the subscription is missing, closed to us or not
    reached; nothing waits much longer than 12 s.

    Args:
        settings: where Pub/Sub is.
        name: short name or full path.

    Raises:
        ConfigError: no name of a subscription.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self.path = subscription_path(settings, name)
        self._settings = settings
        self._leases: Leases | None = None

    def pull(self, most: int = 1000, most_bytes: int = 64 * 1024 * 1024) -> list[Received]:
        """Messages that wait, at once; none when there are none.

        Args:
            most: messages.
            most_bytes: of data; nothing more is asked for once they are reached, so the last
                answer may go beyond.

        Raises:
            PubSubError: none could be pulled. What came before a failure is returned.
        """
        from google.api_core.exceptions import GoogleAPICallError

        received: list[Received] = []
        ask, size = _SURE_TO_FIT, 0
        while len(received) < most and size < most_bytes:
            try:
                some = self._pull_once(min(ask, most - len(received)), patient=not received)
            except GoogleAPICallError as error:
                if is_too_large(error) and ask > _SURE_TO_FIT:
                    ask = _SURE_TO_FIT  # what was on the way comes again after its deadline
                elif received:
                    break
                else:
                    raise call_error(error, self._concern()) from error
                continue
            if not some:
                break
            received += some
            size += sum(len(message.data) for message in some)
            # As many as fit if they are like those before.
            ask = max(min(_MOST_A_PULL, (most_bytes - size) * len(received) // (size + 1)), 1)
        return received

    def acknowledge(self, received: Sequence[Received]) -> list[Received]:
        """Tell Pub/Sub to forget them.

        Returns:
            Those it did not forget, because their deadline had passed: they come again. Only a
            subscription with exactly-once delivery tells; with others it is always empty.

        Raises:
            PubSubError: some may not have been forgotten; they come again.
        """
        from google.pubsub_v1.types import pubsub

        kept = refused(
            [each.ack_id for each in received],
            self._connection.subscriber.acknowledge,
            lambda ids: pubsub.AcknowledgeRequest(subscription=self.path, ack_ids=ids),
            self._concern(),
        )
        self._drop(received)
        return [each for each in received if each.ack_id in kept]

    def extend(self, received: Sequence[Received], seconds: int) -> list[Received]:
        """Ask Pub/Sub not to deliver them again for so long, from now on.

        Args:
            received: what was pulled and is neither acknowledged nor released.
            seconds: 1 to 600.

        Returns:
            Those that may come again all the same, see `acknowledge`.

        Raises:
            ConfigError: Pub/Sub takes no such time.
            PubSubError: some may come again before.
        """
        if not 1 <= seconds <= _MOST_EXTENSION_S:
            raise ConfigError(
                f"messages cannot be kept for {seconds} s",
                where=f"subscription '{self.path}'",
                fix=f"use 1 to {_MOST_EXTENSION_S}",
            )
        kept = self._modify([each.ack_id for each in received], seconds)
        return [each for each in received if each.ack_id in kept]

    def release(self, received: Sequence[Received]) -> None:
        """Give them back: they come again at once.

        Raises:
            PubSubError: some come again only when their deadline has passed.
        """
        self._drop(received)  # before: the thread must not take them back
        self._modify([each.ack_id for each in received], 0)

    @contextmanager
    def leased(self) -> Generator[None]:
        """Within it, what is pulled and neither acknowledged nor released is not delivered again.

        A thread extends the deadlines of what is held for more than a few seconds. Afterwards
        nothing is extended any more, and what is still held comes again within a minute.
        """
        with Leases(self._modify) as leases:
            self._leases = leases
            try:
                yield
            finally:
                self._leases = None

    def topic(self) -> str:
        """Full path of the topic it is attached to.

        Raises:
            PubSubError: there is no such subscription, or its topic was deleted.
        """
        from google.pubsub_v1.types import pubsub

        request = pubsub.GetSubscriptionRequest(subscription=self.path)
        concern = self._concern(VIEWER_ROLE)
        topic = answered(self._connection.subscriber.get_subscription, request, concern).topic
        if topic == "_deleted-topic_":
            raise PubSubError(
                "its topic was deleted",
                concern.where,
                f"delete it, {concern.gcloud('delete')}, and create it again with a topic",
            )
        return topic

    @property
    def _connection(self) -> Connection:
        return connection(self._settings)

    def _concern(self, role: str = SUBSCRIBER_ROLE) -> Concern:
        return Concern("subscription", self.path, role, self._settings)

    def _pull_once(self, most: int, *, patient: bool) -> list[Received]:
        """One answer.

        Raises:
            GoogleAPICallError: there was none.
        """
        from google.pubsub_v1.types import pubsub

        # Without `return_immediately` a pull waits for a message, and what is on its way when it
        # is given up stays leased to nobody.
        request = pubsub.PullRequest(
            subscription=self.path, max_messages=most, return_immediately=True
        )
        call = self._connection.subscriber.pull
        within_s = ANSWER_WITHIN_S if patient else _ONE_MORE_WITHIN_S
        answer = tried(call, request, self._concern(), within_s=within_s)
        received = [_received(each) for each in _plain(answer)]
        if self._leases is not None:
            self._leases.add(each.ack_id for each in received)
        return received

    def _modify(self, ids: Sequence[str], seconds: int) -> set[str]:
        from google.pubsub_v1.types import pubsub

        return refused(
            ids,
            self._connection.subscriber.modify_ack_deadline,
            lambda some: pubsub.ModifyAckDeadlineRequest(
                subscription=self.path, ack_ids=some, ack_deadline_seconds=seconds
            ),
            self._concern(),
        )

    def _drop(self, received: Sequence[Received]) -> None:
        if self._leases is not None:
            self._leases.drop(each.ack_id for each in received)


def _plain(answer: "PullResponse") -> "Sequence[ReceivedMessage]":
    """Its messages as plain protobufs: reading Google's wrappers of them takes five times as long.

    They have the same fields, but for the time.
    """
    from google.pubsub_v1.types import pubsub

    bare = cast("Any", pubsub.PullResponse).pb(answer)
    return cast("Sequence[ReceivedMessage]", bare.received_messages)


def _received(answer: "ReceivedMessage") -> Received:
    message = answer.message
    return Received(
        data=message.data,
        attributes=dict(message.attributes),
        message_id=message.message_id,
        published_at=message.publish_time.seconds + message.publish_time.nanos / 1e9,
        ack_id=answer.ack_id,
        ordering_key=message.ordering_key,
        delivery_attempt=answer.delivery_attempt,
    )
