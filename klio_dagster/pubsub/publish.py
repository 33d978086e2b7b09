"""`Publisher`: messages are published in batches, some at once, until all of them are confirmed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from klio_dagster.errors import MessageRefusedError, PublishError, PubSubError
from klio_dagster.pubsub.connection import ANSWER_WITHIN_S, connection, tried
from klio_dagster.pubsub.failures import Concern, call_error
from klio_dagster.pubsub.settings import Settings, topic_path

PUBLISHER_ROLE = "roles/pubsub.publisher"
MOST_BYTES = 10_000_000  # of one request, as Pub/Sub counts it: a message of this size is too large
_BATCH_BYTES = 1_000_000
_BATCH_MESSAGES = 500
_AT_ONCE = 4
_BYTES_A_SECOND = 1_000_000  # the slowest line that large messages are given the time for
_FRAME_BYTES = 20  # at most, around a message or an attribute


class Outgoing(NamedTuple):
    """A message to publish.

    Args:
        data: its bytes.
        attributes: for whoever receives it.
        ordering_key: messages with the same one arrive in the order of publishing, where the
            subscription wants it so.
    """

    data: bytes
    attributes: Mapping[str, str] = MappingProxyType({})
    ordering_key: str = ""


class Publisher:
    """Publishes to any topic. Cheap to make: the connection is the process's.

    Args:
        settings: where Pub/Sub is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def publish(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Publish all of them; return when Pub/Sub has confirmed each.

        At least once: a message whose confirmation was lost is sent again. One that Pub/Sub does
        not take fails alone, and with it those that follow it with the same ordering key.

        Args:
            topic: short name or full path.
            messages: any number.

        Raises:
            ConfigError: no name of a topic.
            PublishError: some are not confirmed; it carries which and why.
        """
        path = topic_path(self._settings, topic)
        concern = Concern("topic", path, PUBLISHER_ROLE, self._settings)
        if not messages:
            return
        try:
            call = connection(self._settings).publisher.publish
        except PubSubError as error:
            failed = dict.fromkeys(range(len(messages)), error)
            raise _publish_error(failed, messages, concern) from error
        sending = _Sending(call, messages, concern)
        with ThreadPoolExecutor(_AT_ONCE, "klio-pubsub-publish") as threads:
            try:
                list(threads.map(sending.in_order, _lanes(messages)))
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        if sending.failed:
            raise _publish_error(sending.failed, messages, concern)


class _Sending:
    """One call of `publish`: what failed of it so far.

    Args:
        call: the transport's method.
        messages: all that are to be published.
        concern: the topic.
    """

    def __init__(
        self, call: Callable[..., Any], messages: Sequence[Outgoing], concern: Concern
    ) -> None:
        self._call = call
        self._messages = messages
        self._concern = concern
        self._stopped: PubSubError | None = None
        self.failed: dict[int, PubSubError] = {}

    def in_order(self, batches: Iterable[Sequence[int]]) -> None:
        """Send batches one after the other; after a failure none of them."""
        held_up: PubSubError | None = None
        for batch in batches:
            error = self._stopped or held_up
            if error is not None:
                self.failed.update(dict.fromkeys(batch, error))
            elif not self._send(batch):
                held_up = _held_up(self._concern)

    def _send(self, batch: Sequence[int]) -> bool:
        from google.api_core.exceptions import (
            DeadlineExceeded,
            GoogleAPICallError,
            InvalidArgument,
        )

        size = sum(_size(self._messages[at]) for at in batch)
        if len(batch) == 1 and size > MOST_BYTES:
            self.failed[batch[0]] = _too_large(size, self._concern)
            return False
        within_s = ANSWER_WITHIN_S + size / _BYTES_A_SECOND
        try:
            tried(self._call, self._request(batch), self._concern, within_s=within_s)
        except InvalidArgument as error:
            if len(batch) > 1:
                return self._send_halves(batch)
            said = call_error(error, self._concern)
            self.failed[batch[0]] = MessageRefusedError(said.what, said.where, said.fix)
            return False
        except GoogleAPICallError as error:
            failure = call_error(error, self._concern)
            self.failed.update(dict.fromkeys(batch, failure))
            is_slow = isinstance(error, DeadlineExceeded) and size > _BATCH_BYTES
            if not is_slow:  # the topic or the server: the others would only wait as long
                self._stopped = failure
            return False
        return True

    def _send_halves(self, batch: Sequence[int]) -> bool:
        """One message is refused, and the whole request with it: find it, send the others."""
        middle = len(batch) // 2
        halves = batch[:middle], batch[middle:]
        if self._messages[batch[0]].ordering_key:
            self.in_order(halves)
        else:
            for half in halves:
                self.in_order([half])
        return batch[-1] not in self.failed

    def _request(self, batch: Sequence[int]) -> object:
        from google.pubsub_v1.types import pubsub

        # Plain protobufs: making Google's wrappers of them takes several times as long.
        wrapper = cast("Any", pubsub.PublishRequest)
        request = wrapper.pb()(topic=self._concern.path)
        for at in batch:
            message = self._messages[at]
            request.messages.add(
                data=message.data,
                attributes=message.attributes,
                ordering_key=message.ordering_key,
            )
        return wrapper.wrap(request)


def _lanes(messages: Sequence[Outgoing]) -> Iterator[list[list[int]]]:
    """Batches of positions; those of a lane are sent in order, lanes at the same time."""
    by_key: dict[str, list[int]] = {}
    for at, message in enumerate(messages):
        by_key.setdefault(message.ordering_key, []).append(at)
    for key, positions in by_key.items():
        batches = _batches(messages, positions)
        yield from [list(batches)] if key else ([batch] for batch in batches)


def _batches(messages: Sequence[Outgoing], positions: Iterable[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    total = 0
    for at in positions:
        size = _size(messages[at])
        if batch and (len(batch) == _BATCH_MESSAGES or total + size > _BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(at)
        total += size
    if batch:
        yield batch


def _size(message: Outgoing) -> int:
    named = sum(
        len(key.encode()) + len(value.encode()) + _FRAME_BYTES
        for key, value in message.attributes.items()
    )
    return len(message.data) + named + len(message.ordering_key.encode()) + _FRAME_BYTES


def _too_large(size: int, concern: Concern) -> MessageRefusedError:
    return MessageRefusedError(
        f"a message of {size:,} bytes is too large, Pub/Sub takes {MOST_BYTES:,}",
        concern.where,
        "put the bytes into the store and send their location",
    )


def _held_up(concern: Concern) -> PubSubError:
    return PubSubError(
        "not sent, because one before it with the same ordering key failed",
        concern.where,
        "mend that one, then publish both",
    )


def _publish_error(
    failed: Mapping[int, PubSubError], messages: Sequence[Outgoing], concern: Concern
) -> PublishError:
    first = failed[min(failed)]
    why = first.what if first.where == concern.where else f"{first.where}: {first.what}"
    return PublishError(
        f"{len(failed):,} of {len(messages):,} messages were not published: {why}",
        concern.where,
        first.fix,
        transient=all(error.transient for error in failed.values()),
        failed=failed,
    )
