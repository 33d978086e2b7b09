"""`Sending`: messages to one topic, which may be out of order for a while."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from klio_dagster.errors import MessageRefusedError, PublishError, PubSubError
from klio_dagster.pubsub.publish import Outgoing

_REST_S = 60.0


class Post(Protocol):
    """What publishes messages."""

    def publish(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Publish all of them; returns once each is confirmed."""
        ...


class Sending:
    """Publishes to a topic.

    Each failure is a wait for an answer, so after one it had better be left alone for a minute.

    Args:
        topic: full path.
        post: makes what publishes; asked once there is something to publish.
        monotonic: seconds.
    """

    def __init__(
        self,
        topic: str,
        post: Callable[[], Post],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._make_post = post
        self._post: Post | None = None
        self._monotonic = monotonic
        self._failed_at = float("-inf")

    @property
    def is_resting(self) -> bool:
        """It was out of order a moment ago."""
        return self._monotonic() - self._failed_at < _REST_S

    def send(self, messages: Sequence[bytes]) -> Mapping[int, PubSubError]:
        """Publish messages, and wait until each is confirmed.

        Returns:
            Position of each that was not published, and why: `MessageRefusedError` where the topic
            takes others.
        """
        if not messages:
            return {}
        try:
            if self._post is None:
                self._post = self._make_post()
            self._post.publish(self._topic, [Outgoing(message) for message in messages])
        except PublishError as error:
            failed = dict(error.failed)
        except PubSubError as error:
            failed = dict.fromkeys(range(len(messages)), error)
        else:
            return {}
        if not all(isinstance(each, MessageRefusedError) for each in failed.values()):
            self._failed_at = self._monotonic()
        return failed
