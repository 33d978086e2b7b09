"""`Telling`: what is said of a recorded entity downstream, and what becomes of it.

It is published, or kept with the reason where the topic will never take it, or handed back.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked, Letter, TakenIn
from klio_dagster.core.wording import counted
from klio_dagster.defs.sending import Sending
from klio_dagster.errors import (
    ConfigError,
    MessageError,
    MessageRefusedError,
    PubSubError,
)
from klio_dagster.message import decode, encode, extended, new_message
from klio_dagster.store.dead_letter import DeadLetter, put_all
from klio_dagster.store.kept import held, held_entities, joined
from klio_dagster.store.outbox import left_behind, read_outbox, rewrite
from klio_dagster.store.store import Store

_TOLD_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be said of one entity.

    Args:
        taken_in: its messages.
        held: paths of those that were held, to be let go of once they are told.
    """

    taken_in: TakenIn
    held: tuple[str, ...] = ()

    @property
    def entity(self) -> str:
        """Entity id."""
        return self.taken_in.asked.entity

    @property
    def letters(self) -> tuple[Letter, ...]:
        """The messages."""
        return self.taken_in.asked.letters

    def only(self, letters: Iterable[Letter]) -> "Said":
        """The same of fewer messages."""
        asked = replace(self.taken_in.asked, letters=tuple(letters))
        return replace(self, taken_in=replace(self.taken_in, asked=asked))


class Telling:
    """Tells what a group has recorded.

    Args:
        store: where messages are kept.
        group: name of the group.
        job: who we are in the audit log.
        sending: to the group's topic; None: nobody is told.
        warn: takes a line on what is spoilt, which stops nothing else.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        *,
        store: Store,
        group: str,
        job: JobId,
        sending: Sending | None,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.group = group
        self.job = job
        self._sending = sending
        self._warn = warn
        self._clock = clock
        self.told = 0
        self.refused = 0
        self._last_refusal: PubSubError | None = None
        self._last_failure: PubSubError | None = None

    @property
    def has_topic(self) -> bool:
        """Somebody is told."""
        return self._sending is not None

    @property
    def is_resting(self) -> bool:
        """The topic was out of order a moment ago, and nothing is sent to it yet."""
        return self._sending is not None and self._sending.is_resting

    @cached_property
    def held(self) -> dict[str, list[str]]:
        """Entities with held messages, to the paths of these."""
        return held_entities(self.store, self.group)

    def forget_held(self) -> None:
        """Look again what is held, the next time somebody asks."""
        self.__dict__.pop("held", None)

    def said_of(self, entity: str, taken_in: TakenIn | None = None) -> Said:
        """What its messages said, held ones too, or something new where it came without any.

        Nothing of an entity that is in a batch only so that its failure is recorded.

        Args:
            entity: entity id.
            taken_in: the messages that asked for it.
        """
        sensor = taken_in.sensor if taken_in else ""
        letters = taken_in.asked.letters if taken_in else ()
        paths: list[str] = []
        for path in self.held.get(entity, ()):
            try:
                before = held(self.store, path)
            except ConfigError as error:
                self._warn(str(error))
                continue
            paths.append(path)
            if before is not None:
                letters = joined(before.asked.letters, letters)
                sensor = sensor or before.sensor
        letters = tuple({each.forward: each for each in letters if each.forward}.values())
        if not letters and taken_in is None:
            made = encode(new_message(entity))
            letters = (Letter(data=made, forward=made),)
        asked = Asked(entity=entity, letters=letters)
        return Said(TakenIn(sensor=sensor, asked=asked), tuple(paths))

    def tell(self, said: Iterable[Said]) -> dict[str, Said]:
        """Publish what is said, with us in the audit log; bury what the topic will never take.

        Returns:
            Entity to what could not be published now.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer or is full.
        """
        if self._sending is None:
            return {}
        if self.is_resting:
            return {each.entity: each for each in said if each.letters}
        letters: list[tuple[Said, Letter]] = []
        messages: list[bytes] = []
        dead: list[DeadLetter] = []
        now = self._clock()
        for each in said:
            for letter in each.letters:
                try:
                    message = decode(letter.forward, job=self.job)
                except MessageError as error:
                    self._last_refusal = PubSubError(error.what, error.where, error.fix)
                    dead.append(self._dead(each, letter, "undecodable", error.what))
                    continue
                letters.append((each, letter))
                messages.append(encode(extended(message, self.job, now)))
        failed = self._sending.send(messages)
        left: dict[str, tuple[Said, list[Letter]]] = {}
        for position, error in failed.items():
            of, letter = letters[position]
            if isinstance(error, MessageRefusedError):
                self._last_refusal = error
                dead.append(self._dead(of, letter, "refused", str(error)))
            else:
                self._last_failure = error
                left.setdefault(of.entity, (of, []))[1].append(letter)
        put_all(self.store, dead)
        self.refused += len(dead)
        self.told += len(messages) - len(failed)
        return {entity: of.only(some) for entity, (of, some) in left.items()}

    def let_go(self, said: Iterable[Said]) -> None:
        """Hold no longer what was held of these entities.

        Raises:
            ConfigError: the store does not let us delete.
            StoreUnavailableError: it did not answer.
        """
        paths: list[str] = []
        for each in said:
            paths += each.held
            rest = [path for path in self.held.pop(each.entity, ()) if path not in each.held]
            if rest:
                self.held[each.entity] = rest
        self.store.delete_many(paths)

    def deliver_outbox(self, until: float) -> PubSubError | None:
        """Tell what others have recorded and could not tell, as far as time allows.

        Args:
            until: when to stop, by the monotonic clock.

        Returns:
            Why something of it stays in the outbox, if anything was tried in vain.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer or is full.
        """
        for path in left_behind(self.store, self.group):
            try:
                left = read_outbox(self.store, path)
            except ConfigError as error:
                self._warn(str(error))
                continue
            while left:
                if time.monotonic() > until:
                    return None
                some, rest = left[:_TOLD_AT_ONCE], left[_TOLD_AT_ONCE:]
                said = [self._of_outbox(each) for each in some]
                unsent = self.tell(said)
                left = [*(each.taken_in for each in unsent.values()), *rest]
                rewrite(self.store, path, left)
                self.let_go(each for each in said if each.entity not in unsent)
                if unsent:
                    return self._last_failure  # of all of them
        return None

    def problem(self, unsent: int, refused: int) -> PubSubError | None:
        """What was not published as it should have been, in one line for people.

        Args:
            unsent: how many entities are in the outbox for it.
            refused: how many messages are dead letters for it.
        """
        refusal, failure = self._last_refusal, self._last_failure
        if unsent and failure is not None:
            return PubSubError(
                f"what is recorded of {counted(unsent, 'entity', 'entities')} was not published:"
                f" {failure.what}",
                failure.where,
                f"{failure.fix}; the next run or tick publishes it",
                failure.transient,
            )
        if refused and refusal is not None:
            return MessageRefusedError(
                f"{counted(refused, 'message')} not published: {refusal.what}",
                refusal.where,
                f"{refusal.fix}; `klio dead-letter list` shows what was not",
            )
        return None

    def _of_outbox(self, taken_in: TakenIn) -> Said:
        if taken_in.asked.letters:
            return Said(taken_in)
        return self.said_of(taken_in.asked.entity)  # it came without any, in a run that died

    def _dead(self, said: Said, letter: Letter, reason: str, error: str) -> DeadLetter:
        return DeadLetter(
            group=self.group,
            sensor=said.taken_in.sensor,
            entity=said.entity,
            reason=reason,
            error=error,
            at=self._clock(),
            letter=letter,
        )
