"""What a run passes on: the message of every entity once it is recorded, at least once.

The order of the durable steps, of each of which a kill repeats what comes after:

1. the ledger knows the entity (whoever calls `recorded` has seen to that);
2. its messages are published;
3. a receipt says so;
4. messages of what failed are held; of what waits for its input are put aside, and the sensor's
   next tick asks for it;
5. the batch leaves the inbox.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked, Letter
from klio_dagster.core.plan import Decision, Plan
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.group import EntityGroup
from klio_dagster.errors import MessageRefusedError, PublishError, PubSubError
from klio_dagster.message import Message, decode, encode, extended, new_message
from klio_dagster.pubsub.publish import Outgoing
from klio_dagster.store.inbox import Batch, put_batch, read_batch, remove_batch
from klio_dagster.store.kept import (
    Waiting,
    held,
    held_entities,
    hold,
    joined,
    put_unasked,
)
from klio_dagster.store.outbox import (
    forget_published,
    leave,
    left_behind,
    published,
    put_published,
)
from klio_dagster.store.store import Store

_TOLD_AT_ONCE = 1000
Clock = Callable[[], float]


class Post(Protocol):
    """What publishes messages."""

    def publish(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Publish all of them; returns once each is confirmed."""
        ...


@dataclass(slots=True)
class _Progress:
    """How far a run is with an entity."""

    left: set[str] = field(default_factory=set[str])
    """Keys of the assets to be computed that have no receipt yet."""
    failed: bool = False
    waits: bool = False

    @property
    def is_done(self) -> bool:
        return not (self.left or self.failed or self.waits)


class PassingOn:
    """The messages of one run of one group, or of a batch that needs no run.

    Args:
        store: where messages are kept.
        group: the group; its `publish_to` is the topic.
        job: who we are in the audit log.
        post: makes what publishes; asked once there is something to publish.
        topic: where messages go; None: nobody is told.
        work: id of the batch, or of the run's work.
        batch: what the run was asked for by messages; None for a run without any.
        asked: its lines.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        *,
        store: Store,
        group: EntityGroup,
        job: JobId,
        post: Callable[[], Post],
        topic: str | None,
        work: str,
        batch: Batch | None = None,
        asked: Sequence[Asked] = (),
        clock: Clock = time.time,
    ) -> None:
        self._store = store
        self._group = group
        self._job = job
        self._make_post = post
        self._post: Post | None = None
        self._topic = topic
        self._work = work
        self._batch = batch
        self._asked: Mapping[str, Asked] = {each.entity: each for each in asked}
        self._clock = clock
        self._held: dict[str, list[str]] = held_entities(store, group.name)
        self._progress: dict[str, _Progress] = {}
        self._published = published(store, work) if topic and batch else set[str]()
        self._receipts = len(self._published)
        self._unsent: dict[str, PubSubError] = {}
        self._unrecorded: set[str] = set()
        self._error: PubSubError | None = None
        # A run without messages, topic or held ones keeps no book at all.
        self._is_needed = bool(topic or batch or self._held)

    @property
    def refused(self) -> Mapping[str, PubSubError]:
        """The entities whose messages the topic does not take, whatever else it takes."""
        return {e: why for e, why in self._unsent.items() if isinstance(why, MessageRefusedError)}

    def planned(self, plan: Plan, unrecorded: Collection[str] = ()) -> None:
        """Take in what a round computes; what it only skips is passed on at once.

        Args:
            plan: of the round.
            unrecorded: entities of which a live run has finished something that the ledger may not
                know yet; they are left to the next run of the batch.
        """
        if not self._is_needed:
            return
        self._unrecorded.update(e for e in unrecorded if e in self._asked)
        now = [entity for entity in plan.entities if self._note(plan, entity).is_done]
        wanted = (self._asked.keys() | self._held.keys()) - self._unrecorded
        self._pass_on(entity for entity in now if entity in wanted)

    def recorded(self, receipts: Iterable[Receipt]) -> None:
        """Take in what the ledger knows now; what is whole is passed on."""
        if not self._is_needed:
            return
        done: list[str] = []
        for receipt in receipts:
            progress = self._progress.get(receipt.entity)
            if progress is None or receipt.is_look:
                continue
            progress.left.discard(receipt.asset)  # a receipt may come twice
            progress.failed |= receipt.failure is not None
            if progress.is_done:
                done.append(receipt.entity)
        self._pass_on(done)

    def deliver_outbox(self) -> None:
        """Pass on what runs had recorded that died before they did.

        Raises:
            PubSubError: it cannot be published now; it stays in the outbox.
        """
        for work_id, path, entities in left_behind(self._store, self._group.name):
            for start in range(0, len(entities), _TOLD_AT_ONCE):
                some = entities[start : start + _TOLD_AT_ONCE]
                unsent = self._send(some) if self._topic is not None else {}
                self._let_go([entity for entity in some if entity not in unsent])
                rest = [*unsent, *entities[start + _TOLD_AT_ONCE :]]
                leave(self._store, self._group.name, work_id, rest)
                if self._error is not None:
                    raise self._error
            self._store.delete(path)

    def finish(
        self,
        plan: Plan,
        waits_for: Mapping[str, Collection[str]],
        when_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Put aside the messages of what is not done, and take the batch out of the inbox.

        What waits for another run stays in it.

        Args:
            plan: of the whole run.
            waits_for: entity to the work ids of those that hold it.
            when_waiting: called when a part of the batch is left in the inbox.

        Raises:
            PubSubError: something could not be published; it is left, or in the outbox.
        """
        if self._batch is not None:
            left = self._left(plan, waits_for)
            # Somebody else may have settled it meanwhile; then there is nothing to be left.
            if left and read_batch(self._store, self._batch) is not None:
                put_batch(self._store, self._batch, left)
                if self._error is None:
                    when_waiting()
                    return
        if self._error is not None:
            raise self._error
        # Before the batch, or a kill in between would leave them lying for ever: at worst its
        # messages are passed on twice.
        forget_published(self._store, self._work)
        if self._batch is not None:
            remove_batch(self._store, self._batch)

    def _note(self, plan: Plan, entity: str) -> _Progress:
        """How far we are with an entity, a round being planned."""
        decided = {name: verdicts[entity].decision for name, verdicts in plan.verdicts.items()}
        decisions = decided.values()
        progress = self._progress.setdefault(entity, _Progress())
        keys = self._group.keys
        progress.left |= {keys[name] for name, each in decided.items() if each is Decision.RUN}
        progress.failed |= Decision.FAIL in decisions or Decision.REFUSE in decisions
        progress.waits = Decision.WAIT in decisions
        return progress

    def _pass_on(self, entities: Iterable[str]) -> None:
        due = [e for e in dict.fromkeys(entities) if e not in self._published]
        if not due:
            return
        if self._topic is not None:
            unsent = self._send(due)
            self._unsent.update(unsent)
            due = [entity for entity in due if entity not in unsent]
            self._published.update(due)
            self._receipts += 1
            put_published(self._store, self._work, self._receipts, due)
        self._let_go(due)

    def _let_go(self, entities: Iterable[str]) -> None:
        """Hold the messages of entities no longer."""
        self._store.delete_many(path for e in entities for path in self._held.pop(e, ()))

    def _send(self, entities: Sequence[str]) -> Mapping[str, PubSubError]:
        """Publish the messages of entities, with us in their audit log.

        A topic out of order does not keep the run from computing: it is said in the end.

        Returns:
            The entities whose messages were not published, and why.
        """
        assert self._topic is not None
        if self._error is not None and not isinstance(self._error, MessageRefusedError):
            return dict.fromkeys(entities, self._error)  # it is out of order for all of them
        now = self._clock()
        told = [(e, extended(m, self._job, now)) for e in entities for m in self._messages(e)]
        try:
            if self._post is None:
                self._post = self._make_post()
            self._post.publish(self._topic, [Outgoing(encode(message)) for _, message in told])
        except PublishError as error:
            unsent = {told[at][0]: why for at, why in error.failed.items()}
        except PubSubError as error:
            unsent = dict.fromkeys(entities, error)
        else:
            return {}
        others = [e for e in unsent.values() if not isinstance(e, MessageRefusedError)]
        self._error = next(iter(others), None) or self._error or next(iter(unsent.values()))
        return unsent

    def _messages(self, entity: str) -> list[Message]:
        """What is said of an entity: what its messages were, or something new.

        Nothing of one that is in the batch only so that its failure is recorded.
        """
        letters: tuple[Letter, ...] = ()
        if entity in self._asked:
            letters = self._asked[entity].letters
        if entity in self._held:
            for path in self._held[entity]:
                before = held(self._store, path)
                letters = joined(before.asked.letters, letters) if before else letters
        said = dict.fromkeys(letter.forward for letter in letters if letter.forward)
        if not said:
            return [] if entity in self._asked else [new_message(entity)]
        return [decode(data, job=self._job) for data in said]

    def _left(self, plan: Plan, waits_for: Mapping[str, Collection[str]]) -> list[Asked]:
        """What of the batch waits for other runs; the rest is held or put aside here."""
        requested = plan.requested()
        waiting = plan.waiting()
        left: list[Asked] = []
        missed: dict[str, list[Asked]] = {}
        for entity, asked in self._asked.items():
            progress = self._progress.get(entity)
            if entity in requested:
                missed.setdefault(self._group.keys[requested[entity]], []).append(asked)
            elif entity in waiting or progress is None or entity in self._unrecorded:
                left.append(asked.waiting_for(tuple(waits_for.get(entity, ()))))
            elif entity in self._unsent:
                left.append(asked)
            elif progress.failed and asked.letters and not _is_refused(plan, entity):
                assert self._batch is not None
                hold(self._store, self._group.name, self._batch.sensor, asked)
        for key, lines in missed.items():
            self._put_aside(key, lines)
        return left

    def _put_aside(self, key: str, lines: Sequence[Asked]) -> None:
        """Let messages wait for an input that another job makes; the next tick asks for it."""
        assert self._batch is not None
        sensor = self._batch.sensor
        waiting = [Waiting(asset=key, sensor=sensor, asked=each.waiting_for(())) for each in lines]
        put_unasked(self._store, self._batch, waiting)


def _is_refused(plan: Plan, entity: str) -> bool:
    """Taken down: nobody keeps its messages."""
    return any(v[entity].decision is Decision.REFUSE for v in plan.verdicts.values())
