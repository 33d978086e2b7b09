"""Messages whose input another job makes: it is asked for once, and then waited for.

The order of the durable steps; a kill at any of them repeats what comes after:

1. a run has put messages aside (`defs.passing_on`);
2. the tick after it asks upstream, for each entity that does not wait yet;
3. the messages wait, an object an entity;
4. once the input has come they are written to the inbox; once their time is over, to the dead
   letters, and the entity alone to the inbox, so that a run records its failure;
5. what waited is deleted.

What it costs: each tick one listing of what is to be asked for, as a rule an empty folder; a tick
that pulled something one listing of the names of what waits; and every `look_every_s` one more, of
these names and of the sources, with one look at the ledger. What waits is read when it is its turn.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import dagster as dg

from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.core.letter import Asked
from klio_dagster.defs.sending import Post
from klio_dagster.errors import ConfigError, MessageError, PublishError, PubSubError
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.message import (
    Message,
    answers,
    decode,
    encode,
    extended,
    new_message,
    request_upstream,
)
from klio_dagster.pubsub.publish import Outgoing
from klio_dagster.store.kept import (
    Place,
    Unasked,
    Waiting,
    joined,
    list_unasked,
    put_waiting,
    read_waiting,
    rewrite_unasked,
    waiting_places,
)
from klio_dagster.store.removed import removed_entities
from klio_dagster.store.store import Store
from klio_dagster.streaming.intake import Intake
from klio_dagster.streaming.look import Inputs, Looks, look
from klio_dagster.streaming.settings import SensorSettings

_AT_ONCE = 16  # a bucket answers each after some 20 ms
_READ_AT_ONCE = 256
_BUDGET_S = 10.0  # a tick has other things to do
_NOW_AND_THEN_S = 60.0


@dataclass(slots=True)
class Waits:
    """What waits for inputs, as one tick sees it.

    Args:
        context: Dagster's.
        settings: of the sensor.
        store: that of the group.
        job: who we are to the jobs that make inputs.
        ledger: Dagster's log; asked for when it is needed.
        warn: takes a line on what is spoilt.
        looks: of this process.
        clock: seconds since 1970.
        asked: for how many entities this tick has asked.
    """

    context: dg.SensorEvaluationContext
    settings: SensorSettings
    store: Store
    job: JobId
    ledger: Callable[[], Ledger]
    warn: Callable[[str], None]
    looks: Looks = field(default_factory=Looks)
    clock: Callable[[], float] = time.time
    asked: int = 0
    _left: list[tuple[Unasked, list[Waiting]]] = field(
        default_factory=list[tuple[Unasked, list[Waiting]]]
    )
    _known: dict[str, dict[str, list[Place]]] | None = None

    def ask(self, post: Callable[[], Post]) -> None:
        """Ask upstream for what runs have put aside: steps 2 and 3.

        Raises:
            PubSubError: a topic cannot be published to; all else is asked for, and this by the next
                tick.
            ConfigError: the store does not let us write.
            StoreUnavailableError: the store did not answer or is full.
        """
        until = time.monotonic() + _BUDGET_S
        problem: PubSubError | None = None
        for unasked in list_unasked(self.store, self.settings.name):
            if time.monotonic() > until:
                break
            lines = self._lines(unasked.path)
            if lines is None:
                continue
            removed = removed_entities(self.store)
            lines = [each for each in lines if each.asked.entity not in removed]
            new, left = self._new(lines), list[Waiting]()
            try:
                self._publish(new, post)
            except PubSubError as error:
                problem = error
                # Only Pub/Sub's own answer says which of them have gone out.
                failed = error.failed if isinstance(error, PublishError) else range(len(new))
                left = [new[at] for at in sorted(failed)]
            self.asked += len(new) - len(left)
            out = {each.asked.entity for each in left}
            self._let_wait(unasked, [each for each in lines if each.asked.entity not in out])
            rewrite_unasked(self.store, unasked.path, left)
            self._left += [(unasked, left)] if left else []
        if problem is not None:
            raise problem

    def end(self, intake: Intake, most_batches: int) -> None:
        """Take in what has waited long enough, every now and then: steps 4 and 5.

        Args:
            intake: takes it in.
            most_batches: for how many batches there is room in the inbox.

        Raises:
            PubSubError: what was pulled cannot be acknowledged.
            ConfigError: the store cannot be read or written.
            StoreUnavailableError: the store did not answer.
        """
        for unasked, left in self._left:
            self._give_up_unasked(intake, unasked, left)
        triggers = self._triggers
        # Without any there may be what an earlier definition of the assets has let wait.
        every_s = min((t.look_every_s for t in triggers.values()), default=_NOW_AND_THEN_S)
        if not self.looks.is_due(every_s):
            return
        until = time.monotonic() + _BUDGET_S
        looked = time.monotonic()
        for key, by_entity in list(self._places.items()):
            trigger = triggers.get(key)
            come, late = self._over(key, by_entity, trigger)
            for waiting, done in self._read([p for e in come for p in by_entity[e]]):
                if len(intake.batches) >= most_batches or time.monotonic() > until:
                    return  # the next tick looks again
                intake.resume(waiting, done)
                by_entity.pop(waiting.entity, None)
            for waiting, done in self._read(late):
                if len(intake.batches) >= most_batches or time.monotonic() > until:
                    return
                assert trigger is not None
                intake.give_up(waiting, "input_missing", _why(key, trigger), done)
        self.looks.at = looked

    def of(self, entities: Collection[str]) -> Iterator[tuple[Asked, Callable[[], None]]]:
        """What waits of entities that messages have come for, if their inputs are there.

        Args:
            entities: of a batch.
        """
        if not entities:
            return
        for key, by_entity in list(self._places.items()):
            waiting = [entity for entity in entities if entity in by_entity]
            if waiting:
                missing = self._look(key, waiting).missing
                come = [entity for entity in waiting if entity not in missing]
                yield from self._read([place for e in come for place in by_entity.pop(e)])

    def answers(self, message: Message, original: Message) -> bool:
        """Whether a message is what came of asking upstream for an input of another one."""
        jobs = {trigger.job for trigger in self._triggers.values()}
        return any(answers(message, original, self.job, job) for job in jobs)

    @property
    def _triggers(self) -> Mapping[str, UpstreamTrigger]:
        """Asset key to the job that makes its missing input."""
        group = self.settings.group
        return {group.keys[name]: trigger for name, trigger in group.upstreams.items()}

    @property
    def _places(self) -> dict[str, dict[str, list[Place]]]:
        """Who waits for an input of which asset, where; listed once a tick."""
        if self._known is None:
            group = self.settings.group
            self._known = waiting_places(self.store, [group.keys[name] for name in self._names])
        return self._known

    @property
    def _names(self) -> list[str]:
        return [asset.name for asset in self.settings.group.chain.assets]

    def _new(self, lines: Sequence[Waiting]) -> list[Waiting]:
        """Those to be asked for: nobody has asked yet for what they lack."""
        if not lines:
            return []
        triggers, places = self._triggers, self._places
        return [
            each
            for each in lines
            if each.asset in triggers and each.asked.entity not in places.get(each.asset, ())
        ]

    def _publish(self, waiting: Sequence[Waiting], post: Callable[[], Post]) -> None:
        """Step 2; all of them lack an input of the same asset."""
        if not waiting:
            return
        trigger = self._triggers[waiting[0].asset]
        now = self.clock()
        requests = [self._request(each.asked, trigger) for each in waiting]
        messages = [encode(extended(request, self.job, now)) for request in requests]
        post().publish(trigger.topic, [Outgoing(message) for message in messages])

    def _request(self, asked: Asked, trigger: UpstreamTrigger) -> Message:
        """The message that asks: the mode of the first that asks for work is kept."""
        messages: list[Message] = []
        for letter in asked.letters:
            with suppress(MessageError):  # it is a dead letter once the input has come
                messages.append(decode(letter.forward, job=self.job))
        messages = messages or [new_message(asked.entity)]
        original = next((each for each in messages if not each.ping), messages[0])
        return request_upstream(original, self.job, trigger.job)

    def _let_wait(self, unasked: Unasked, waiting: Sequence[Waiting]) -> None:
        """Step 3."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            paths = threads.map(lambda each: put_waiting(self.store, unasked, each), waiting)
            for each, path in zip(waiting, paths, strict=True):
                place = Place(each.asset, each.asked.entity, path, self.clock())
                of_asset = self._places.setdefault(each.asset, {})
                of_asset.setdefault(each.asked.entity, []).append(place)

    def _give_up_unasked(self, intake: Intake, unasked: Unasked, left: list[Waiting]) -> None:
        """Bury what could not even be asked for, once its time is over."""
        trigger = self._triggers[left[0].asset]
        if self.clock() - unasked.since <= trigger.wait_s:
            return
        why = f"{_why(left[0].asset, trigger)}, which could not be asked"
        for number, each in enumerate(left, start=1):
            done = _nothing
            if number == len(left):  # all before it are in the same batch, or in one before
                done = lambda: self.store.delete(unasked.path)  # noqa: E731
            intake.give_up(each.asked, "input_missing", why, done)

    def _over(
        self, key: str, by_entity: Mapping[str, Sequence[Place]], trigger: UpstreamTrigger | None
    ) -> tuple[list[str], list[Place]]:
        """Entities whose input has come, and places whose time is over."""
        if trigger is None:  # the asset names no such job any more: a run says what comes of it
            return list(by_entity), []
        now = self.clock()
        inputs = self._look(key, list(by_entity))
        # Of one that has come this moment the message that says so is on its way, and is passed on
        # together with what waits.
        young = inputs.made_between(now - trigger.look_every_s / 2, now)
        come = [e for e in by_entity if e not in inputs.missing and e not in young]
        late = [
            place
            for entity in inputs.missing
            for place in by_entity[entity]
            if now - place.since > trigger.wait_s
        ]
        return come, late

    def _look(self, key: str, entities: Sequence[str]) -> Inputs:
        """Whether the input of an asset has come for entities."""
        (name,) = (n for n in self._names if self.settings.group.keys[n] == key)
        return look(self.context, self.settings.group, self.store, self.ledger(), name, entities)

    def _read(self, places: Sequence[Place]) -> Iterator[tuple[Asked, Callable[[], None]]]:
        """What waits there, a line an entity, and what lets go of it."""
        removed = removed_entities(self.store) if places else ()
        by_entity: dict[str, list[Place]] = {}
        for place in places:
            by_entity.setdefault(place.entity, []).append(place)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            entities = iter(by_entity.values())
            while some := list(islice(entities, _READ_AT_ONCE)):
                for paths, asked in threads.map(self._line, some):
                    if asked is None:
                        continue
                    if asked.entity in removed:  # nobody keeps its messages
                        self.store.delete_many(paths)
                        continue
                    yield asked, lambda paths=paths: self.store.delete_many(paths)

    def _line(self, places: Sequence[Place]) -> tuple[list[str], Asked | None]:
        """One line of all that one entity's messages ask for."""
        paths: list[str] = []
        line: Asked | None = None
        for place in places:
            for each in self._lines(place.path) or ():
                if each.sensor != self.settings.name:
                    continue
                paths.append(place.path)
                line = each.asked if line is None else _together(line, each.asked)
        return paths, line

    def _lines(self, path: str) -> list[Waiting] | None:
        """What waits there; None, and a warning, where it is spoilt: it stops no other."""
        try:
            return read_waiting(self.store, path)
        except ConfigError as error:
            self.warn(str(error))
            return None


def _together(one: Asked, other: Asked) -> Asked:
    return Asked(
        entity=one.entity,
        letters=joined(one.letters, other.letters),
        force=one.force or other.force,
    )


def _why(key: str, trigger: UpstreamTrigger) -> str:
    return f"the input of '{key}' did not come in {trigger.wait_s:g} s from {trigger.job}"


def _nothing() -> None:
    """Nothing is let go of yet."""
