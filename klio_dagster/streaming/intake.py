"""From Pub/Sub to the inbox: every message decoded, kept, and only then acknowledged."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from klio_dagster.core.ids import id_problem
from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked, Letter
from klio_dagster.errors import KlioError, MessageError, PubSubError
from klio_dagster.message import Decoder, Dropped, KlioDecoder, Message, accepts, decode
from klio_dagster.pubsub.pull import Received, Subscription
from klio_dagster.store.dead_letter import DeadLetter, put_all
from klio_dagster.store.inbox import Batch, write_batch
from klio_dagster.store.store import Store
from klio_dagster.streaming.filling import Filling

TIME_BUDGET_S = 20.0
_AT_ONCE = 1000


@dataclass(slots=True)
class Taken:
    """What came of the messages of a tick, counted."""

    pulled: int = 0
    accepted: int = 0
    merged: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    dead: Counter[str] = field(default_factory=Counter[str])
    resumed: int = 0
    oldest: float | None = None


@dataclass(slots=True)
class Intake:
    """Takes messages in, batch by batch.

    The order of its durable steps is the promise: a batch, and the dead letters beside it, are
    written before anything of them is acknowledged.

    Args:
        store: that of the assets.
        group: name of the group.
        sensor: name of the sensor.
        job: who we are to senders.
        decoder: what their bytes are.
        removed: entities that were taken down.
        filling: how large a batch may be.
        waiting: what waits for inputs of entities, if these have come: what is asked, and what lets
            go of it.
        clock: seconds since 1970.
    """

    store: Store
    group: str
    sensor: str
    job: JobId
    decoder: Decoder
    removed: Collection[str]
    filling: Filling
    waiting: Callable[[Collection[str]], Iterable[tuple[Asked, Callable[[], None]]]] = lambda _: ()
    clock: Callable[[], float] = time.time
    taken: Taken = field(default_factory=Taken)
    batches: list[Batch] = field(default_factory=list[Batch])
    problem: KlioError | None = None
    """What kept messages from being read, which will come again."""
    _done: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    _dead: list[DeadLetter] = field(default_factory=list[DeadLetter])
    _received: list[Received] = field(default_factory=list[Received])
    _subscription: Subscription | None = None

    def pull(self, subscription: Subscription, most_batches: int, until: float) -> None:
        """Take in what a subscription has, until it is empty.

        Args:
            subscription: is asked.
            most_batches: how many batches there is room for in the inbox.
            until: when to stop, by the monotonic clock.

        Raises:
            PubSubError: Pub/Sub does not answer; what was taken in is in the inbox.
            ConfigError: the store does not let us write.
            StoreUnavailableError: the store did not answer or is full.
        """
        self._subscription = subscription
        with subscription.leased():
            try:
                self._pull(subscription, most_batches, until)
            except PubSubError:
                self.flush()  # what was pulled before is in our hands
                raise
            finally:
                # What is in no batch comes again at once, and not when its lease has run out.
                with suppress(PubSubError):
                    subscription.release(self._received)
                self._received = []

    def _pull(self, subscription: Subscription, most_batches: int, until: float) -> None:
        while time.monotonic() < until:
            room = self._room(most_batches)
            if room <= 0:
                break
            received = subscription.pull(min(_AT_ONCE, room), self.filling.most_bytes)
            not_now = [each for each in received if not self._take(each, most_batches)]
            subscription.release(not_now)  # somebody else may have room for them
            if not_now or not received:  # or they would come back at once, and again
                break
        self.flush()

    def _room(self, most_batches: int) -> int:
        """How many more messages there is room for."""
        return (most_batches - len(self.batches)) * self.filling.most - self.filling.messages

    def has_room(self, most_batches: int, size: int) -> bool:
        """Whether one more message of so many bytes fits into so many batches."""
        begins_another = not self.filling.has_room(size)
        return len(self.batches) + begins_another < most_batches

    def add(self, letter: Letter, done: Callable[[], None]) -> None:
        """Take in a message that is kept elsewhere, or leave it there if nobody can read it now.

        Args:
            letter: the message.
            done: called once it is in the inbox, to let go of it there.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: the store did not answer or is full.
        """
        try:
            said = self._forwarded(letter) if letter.forward else self._read(letter)
        except KlioError as error:
            self.problem = error
            return
        if not self.filling.has_room(len(letter.data)):
            self.flush()
        self._done.append(done)
        if letter.forward and isinstance(said, Message):  # accepted before
            self._accept(letter, said)
        else:
            self._sort(letter, said)

    def _forwarded(self, letter: Letter) -> Message | MessageError:
        """What was accepted of a message: merged ones say more than their own bytes."""
        try:
            return decode(letter.forward, job=self.job)
        except MessageError as error:
            return error

    def resume(self, asked: Asked, done: Callable[[], None]) -> None:
        """Take in again what had been accepted.

        Args:
            asked: what has waited.
            done: called once it is in the inbox.

        Raises:
            PubSubError: what is pulled cannot be acknowledged, and will come again.
            ConfigError: the store does not let us write.
            StoreUnavailableError: the store did not answer or is full.
        """
        if not self.filling.has_room(sum(len(letter.data) for letter in asked.letters)):
            self.flush()
        self._bring_back(asked, done)

    def give_up(self, asked: Asked, reason: str, error: str, done: Callable[[], None]) -> None:
        """Bury what had been accepted; the next run records that its entity failed.

        Args:
            asked: what has waited.
            reason: one word.
            error: one line.
            done: called once all of it is durable.

        Raises:
            PubSubError: what is pulled cannot be acknowledged, and will come again.
            ConfigError: the store does not let us write.
            StoreUnavailableError: the store did not answer or is full.
        """
        if not self.filling.has_room(0):
            self.flush()
        for letter in asked.letters:
            self._bury(letter, reason, error, asked.entity)
        self.filling.fail(asked)
        self._done.append(done)

    def flush(self) -> None:
        """Write what was taken in to the inbox, then acknowledge it.

        Raises:
            PubSubError: it cannot be acknowledged, and will come again.
            ConfigError: the store does not let us write.
            StoreUnavailableError: the store did not answer or is full.
        """
        for waiting, let_go in self.waiting(list(self.filling.entities)):
            self._bring_back(waiting, let_go)  # with what was pulled of the same entity
        # All taken out before anything is written: after a write that failed, nothing is let go of.
        asked = list(self.filling.seal())
        dead, self._dead = self._dead, []
        done, self._done = self._done, []
        put_all(self.store, dead)
        if asked:
            self.batches.append(write_batch(self.store, self.sensor, asked, clock=self.clock))
        for let_go in done:
            let_go()
        if self._subscription is not None and self._received:
            received, self._received = self._received, []
            self._subscription.acknowledge(received)

    def _bring_back(self, asked: Asked, done: Callable[[], None]) -> None:
        self._done.append(done)
        self.taken.resumed += 1
        for letter in asked.letters:
            try:
                message = decode(letter.forward, job=self.job)
            except MessageError as error:  # somebody has spoilt it since: it stops no other
                self._bury(letter, "undecodable", error.what, asked.entity)
            else:
                self.filling.add(letter, message)

    def _take(self, received: Received, most_batches: int) -> bool:
        """Take in a message; False if it has to come again: now there is no room for it."""
        letter = Letter(
            data=received.data,
            attributes=received.attributes,
            message_id=received.message_id,
            published_at=received.published_at,
        )
        if not self.has_room(most_batches, len(letter.data)):
            return False
        try:
            said = self._read(letter)
        except KlioError as error:  # what the decoder needs is out of order
            self.problem = error
            return False
        if not self.filling.has_room(len(letter.data)):
            self.flush()
        at = received.published_at
        self.taken.pulled += 1
        self.taken.oldest = at if self.taken.oldest is None else min(self.taken.oldest, at)
        self._received.append(received)
        self._sort(letter, said)
        return True

    def _read(self, letter: Letter) -> Message | Dropped | MessageError:
        """What a message says, or why nobody can tell.

        Raises:
            KlioError: it may be told later.
        """
        # A message that nobody sent is our own, whatever the others are.
        decoder = self.decoder if letter.message_id else KlioDecoder()
        try:
            said: object = decoder(letter.data, letter.attributes, self.job)
        except MessageError as error:
            return error
        except Exception as error:  # a decoder of the user's: it stops no other message
            if isinstance(error, KlioError) and error.transient:
                raise
            return self._of_decoder(f"raised {error!r:.200}")
        if isinstance(said, Message | Dropped):
            return said
        return self._of_decoder(f"returned {said!r:.100}, which is neither Message nor Dropped")

    def _of_decoder(self, what: str) -> MessageError:
        where = f"sensor '{self.sensor}'"
        return MessageError(f"the decoder {what}", where, "mend decoder, then replay the message")

    def _sort(self, letter: Letter, said: Message | Dropped | MessageError) -> None:
        """Where a message belongs: into the batch, to the dead letters, or nowhere."""
        if isinstance(said, MessageError):
            self._bury(letter, "undecodable", said.what)
            return
        accepted = said if isinstance(said, Dropped) else accepts(said, self.job)
        if isinstance(accepted, Dropped):
            self.taken.dropped[accepted.reason] += 1
            return
        self._accept(letter, accepted.message)

    def _accept(self, letter: Letter, message: Message) -> None:
        problem = id_problem(message.entity_id)
        if problem is not None:
            self._bury(letter, "invalid_id", problem)
        elif message.entity_id in self.removed:
            self._bury(letter, "removed", "the entity was taken down", message.entity_id)
        elif self.filling.add(letter, message):
            self.taken.accepted += 1
        else:
            self.taken.merged += 1

    def _bury(self, letter: Letter, reason: str, error: str, entity: str | None = None) -> None:
        self.taken.dead[reason] += 1
        self._dead.append(
            DeadLetter(
                group=self.group,
                sensor=self.sensor,
                entity=entity,
                reason=reason,
                error=error,
                at=self.clock(),
                attempts=0,
                letter=letter,
            )
        )
