"""`Sending`: messages to one topic, which may be out of order for a while."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from klio_dagster.errors import MessageRefusedError, PublishError, PubSubError
from klio_dagster.pubsub.publish import Outgoing

_REST = 5.0  # times what the failure took: twelve seconds of silence are a minute's rest
_LONG_S = 1.0  # a failure that took less costs nobody anything


class Post(Protocol):
    """What publishes messages."""

    def publish(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Publish all of them; returns once each is confirmed."""
        ...


class Sending:
    """Publishes to a topic.

    A failure may be a long wait for an answer. After one nothing is sent for a while, so that who
    has other work comes to it; after one of less than a second, or where some messages went
    through, it is tried again at once.

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
        self._error: PubSubError | None = None
        self._rests_until = float("-inf")

    @property
    def is_resting(self) -> bool:
        """It was out of order a moment ago."""
        return self._monotonic() < self._rests_until

    def send(self, messages: Sequence[bytes]) -> Mapping[int, PubSubError]:
        """Publish messages, and wait until each is confirmed.

        Returns:
            Position of each that was not published, and why: `MessageRefusedError` where the topic
            takes others.
        """
        if not messages:
            return {}
        if self._error is not None and self.is_resting:
            return dict.fromkeys(range(len(messages)), self._error)
        if self._post is None:
            self._post = self._make_post()
        began = self._monotonic()
        try:
            self._post.publish(self._topic, [Outgoing(message) for message in messages])
        except PublishError as error:
            failed = dict(error.failed)
        except PubSubError as error:
            failed = dict.fromkeys(range(len(messages)), error)
        else:
            return {}
        others = [each for each in failed.values() if not isinstance(each, MessageRefusedError)]
        took = self._monotonic() - began
        if others and took >= _LONG_S and len(failed) == len(messages):
            self._error, self._rests_until = others[0], began + (1 + _REST) * took
        return failed
