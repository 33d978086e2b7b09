"""What Pub/Sub says of topics and subscriptions, and whether it lets us use them; only read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

from klio_dagster.errors import PubSubError
from klio_dagster.pubsub.connection import answered, connection, tried
from klio_dagster.pubsub.failures import Concern, call_error
from klio_dagster.pubsub.publish import PUBLISHER_ROLE
from klio_dagster.pubsub.pull import SUBSCRIBER_ROLE, VIEWER_ROLE
from klio_dagster.pubsub.settings import Settings, subscription_path, topic_path

if TYPE_CHECKING:
    from google.pubsub_v1.types import Subscription as Description
    from google.pubsub_v1.types import Topic as TopicDescription

PULL, PUBLISH = "pubsub.subscriptions.consume", "pubsub.topics.publish"

_DELETED = "_deleted-topic_"


class NotShownError(PubSubError):
    """It is not known whether it is there: we may not look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionFacts:
    """How a subscription is set up.

    Args:
        topic: full path; empty when it was deleted.
        ack_deadline_s: seconds after which a message comes again that was not acknowledged.
        retention_s: for so long an unacknowledged message is kept, in seconds.
        expires_after_s: it is deleted when nobody uses it for so long; 0: never.
        dead_letter_topic: where Pub/Sub moves what was delivered too often; empty: it does not.
        max_delivery_attempts: after how many deliveries; 0 without such a topic.
        is_pushed: messages go elsewhere by themselves and cannot be pulled.
        is_exactly_once: it tells what became of acknowledgements.
        is_ordered: messages with one ordering key come in their order.
        filter: only messages with such attributes come; empty: all.
    """

    topic: str
    ack_deadline_s: int
    retention_s: float
    expires_after_s: float
    dead_letter_topic: str
    max_delivery_attempts: int
    is_pushed: bool
    is_exactly_once: bool
    is_ordered: bool
    filter: str


class Looker:
    """Looks at one topic or subscription.

    Args:
        settings: where Pub/Sub is.
        kind: what it is.
        name: short name or full path.
        within_s: seconds that an answer is waited for, all tries together.

    Raises:
        ConfigError: no such name, or its project is not known.
    """

    def __init__(
        self,
        settings: Settings,
        kind: Literal["topic", "subscription"],
        name: str,
        within_s: float,
    ) -> None:
        self.path = (topic_path if kind == "topic" else subscription_path)(settings, name)
        self._settings = settings
        self._kind: Literal["topic", "subscription"] = kind
        self._within_s = within_s

    def subscription(self) -> SubscriptionFacts:
        """How the subscription is set up.

        Raises:
            NotShownError: we may not look at it, which pulling does not need.
            PubSubError: it is not there, or nobody answers.
        """
        from google.pubsub_v1.types import pubsub

        request = pubsub.GetSubscriptionRequest(subscription=self.path)
        found = self._shown(connection(self._settings).subscriber.get_subscription, request)
        return _facts(cast("Description", found))

    def has_schema(self) -> bool:
        """Whether the topic, which is there, takes messages of a schema only.

        Raises:
            NotShownError: we may not look at it, which publishing does not need.
            PubSubError: it is not there, or nobody answers.
        """
        from google.pubsub_v1.types import pubsub

        request = pubsub.GetTopicRequest(topic=self.path)
        found = self._shown(connection(self._settings).publisher.get_topic, request)
        return bool(cast("TopicDescription", found).schema_settings.schema)

    def check_permitted(self) -> bool:
        """Whether we may pull from it, or publish on it; False where nobody keeps that.

        An emulator does not.

        Raises:
            PubSubError: we may not, or nobody answers.
        """
        from google.api_core.exceptions import GoogleAPICallError, MethodNotImplemented, NotFound
        from google.iam.v1 import iam_policy_pb2  # pyright: ignore[reportMissingTypeStubs]

        wanted, role = (
            (PUBLISH, PUBLISHER_ROLE) if self._kind == "topic" else (PULL, SUBSCRIBER_ROLE)
        )
        concern = Concern(self._kind, self.path, role, self._settings)
        policy = cast("Any", iam_policy_pb2)
        request = policy.TestIamPermissionsRequest(resource=self.path, permissions=[wanted])
        ask = cast("Any", connection(self._settings).publisher.test_iam_permissions)

        def call(request: object, *, timeout: float, metadata: object) -> Any:  # noqa: ANN401, ARG001
            # Its header names another field than those of Pub/Sub's own methods.
            header = ("x-goog-request-params", f"resource={quote(self.path)}")
            return ask(request, timeout=timeout, metadata=(header,))

        try:
            allowed = tried(call, request, concern, within_s=self._within_s)
        except GoogleAPICallError as error:
            # The emulator knows no permissions; Google itself says so of what does not exist.
            unknown = isinstance(error, MethodNotImplemented | NotFound)
            if unknown and self._settings.emulator_host is not None:
                return False
            raise call_error(error, concern) from error
        if wanted not in allowed.permissions:
            grant = concern.gcloud("add-iam-policy-binding", "--member=WHO", f"--role={role}")
            fix = f"grant {role}: {grant}"
            raise PubSubError(f"not permitted: {wanted}", concern.where, fix)
        return True

    def gcloud(self, *options: str) -> str:
        """The command that changes its settings."""
        concern = Concern(self._kind, self.path, VIEWER_ROLE, self._settings)
        return concern.gcloud("update", *options)

    def _shown(self, call: Callable[..., object], request: object) -> object:
        from google.api_core.exceptions import Forbidden

        concern = Concern(self._kind, self.path, VIEWER_ROLE, self._settings)
        try:
            return answered(call, request, concern, within_s=self._within_s)
        except PubSubError as error:
            cause = error.__cause__
            if isinstance(cause, Forbidden) and cast("Any", cause).reason != "SERVICE_DISABLED":
                raise NotShownError(error.what, error.where, error.fix) from error
            raise


def _facts(found: "Description") -> SubscriptionFacts:
    dead_letters = found.dead_letter_policy
    ttl = cast("Any", found.expiration_policy).ttl
    topic = "" if found.topic == _DELETED else found.topic
    pushed = (
        found.push_config.push_endpoint,
        found.bigquery_config.table,
        found.cloud_storage_config.bucket,
    )
    return SubscriptionFacts(
        topic=topic,
        ack_deadline_s=found.ack_deadline_seconds,
        retention_s=cast("Any", found.message_retention_duration).total_seconds(),
        expires_after_s=ttl.total_seconds() if ttl else 0.0,
        dead_letter_topic=dead_letters.dead_letter_topic,
        max_delivery_attempts=dead_letters.max_delivery_attempts,
        is_pushed=any(pushed),
        is_exactly_once=found.enable_exactly_once_delivery,
        is_ordered=found.enable_message_ordering,
        filter=found.filter,
    )
