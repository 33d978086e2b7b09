"""`Telling`: what is said of a recorded entity downstream, and what becomes of it.

It is published, or kept with the reason where the topic will never take it, or handed back.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import SystemRandom

from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked, Letter, TakenIn
from klio_dagster.core.wording import counted
from klio_dagster.defs.sending import Sending
from klio_dagster.errors import (
    MessageError,
    MessageRefusedError,
    PubSubError,
)
from klio_dagster.message import decode, encode, extended, new_message
from klio_dagster.store.dead_letter import DeadLetter, put_all
from klio_dagster.store.kept import held_entities, joined, readable
from klio_dagster.store.outbox import leave, left_behind, read_outbox, rewrite
from klio_dagster.store.removed import removed_entities
from klio_dagster.store.store import Store


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


Held = Sequence[tuple[str, TakenIn | None]]
"""What is held of an entity, by its path; None where it is gone."""


def something_new(entity: str) -> Said:
    """What is said of an entity that came without a message."""
    made = encode(new_message(entity))
    letter = Letter(data=made, forward=made)
    return Said(TakenIn(asked=Asked(entity=entity, letters=(letter,))))


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
        self.sending = sending
        self._warn = warn
        self._clock = clock
        self.told = 0
        self.dead: Counter[str] = Counter()
        """Reason to how many messages became dead letters."""
        self._last_refusal: PubSubError | None = None
        self._last_failure: PubSubError | None = None

    @property
    def has_topic(self) -> bool:
        """Somebody is told."""
        return self.sending is not None

    @property
    def is_resting(self) -> bool:
        """The topic was out of order a moment ago, and nothing is sent to it yet."""
        return self.sending is not None and self.sending.is_resting

    @cached_property
    def held(self) -> dict[str, list[str]]:
        """Entities with held messages, to the paths of these."""
        return held_entities(self.store, self.group)

    def forget_held(self) -> None:
        """Look again what is held, the next time somebody asks."""
        self.__dict__.pop("held", None)

    def held_of(self, entities: Iterable[str]) -> Mapping[str, Held]:
        """What is held of entities; of those of which nothing is, nothing."""
        wanted = {path: entity for entity in entities for path in self.held.get(entity, ())}
        found: dict[str, list[tuple[str, TakenIn | None]]] = {}
        for path, taken_in in readable(self.store, wanted, self._warn) if wanted else ():
            found.setdefault(wanted[path], []).append((path, taken_in))
        return found

    def said_of(self, taken_in: TakenIn, held: Held) -> Said:
        """What an entity's messages said; nothing if it is only there to fail.

        Args:
            taken_in: the messages that asked for it, if any.
            held: those that were held when it had failed.
        """
        entity, sensor, letters = taken_in.asked.entity, taken_in.sensor, taken_in.asked.letters
        paths: list[str] = []
        for path, before in held:
            paths.append(path)
            if before is not None:
                letters = joined(before.asked.letters, letters)
                sensor = sensor or before.sensor
        letters = tuple({each.forward: each for each in letters if each.forward}.values())
        return Said(
            TakenIn(sensor=sensor, asked=Asked(entity=entity, letters=letters)), tuple(paths)
        )

    def tell(self, said: Iterable[Said]) -> dict[str, Said]:
        """Publish what is said, with us in the audit log; bury what the topic will never take.

        Returns:
            Entity to what could not be published now.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer or is full.
        """
        if self.sending is None:
            return {}
        letters: list[tuple[Said, Letter]] = []
        messages: list[bytes] = []
        dead: list[DeadLetter] = []
        now = self._clock()
        for each in said:
            for letter in each.letters:
                try:
                    message = decode(letter.forward, job=self.job)
                except MessageError as error:
                    self._last_refusal = MessageRefusedError(error.what, error.where, error.fix)
                    dead.append(self._dead(each, letter, "undecodable", error.what))
                    continue
                letters.append((each, letter))
                messages.append(encode(extended(message, self.job, now)))
        failed = self.sending.send(messages)
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
        self.dead.update(each.reason for each in dead)
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

    def leave(self, work: str, said: Sequence[Said]) -> None:
        """Leave in the outbox what cannot be published now: nothing else will remember it.

        Args:
            work: id of the batch or of the run's work.
            said: what could not be published.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer or is full.
        """
        removed = removed_entities(self.store)  # whoever was taken down has no messages any more
        left = [each.taken_in for each in said if each.entity not in removed]
        leave(self.store, self.group, work, left)

    def deliver_outbox(self, until: float) -> PubSubError | None:
        """Tell what others have recorded and could not tell, as far as time allows.

        Where nobody is told it stays: whoever knows the topic may come yet.

        Args:
            until: when to begin with no more of it, by the monotonic clock.

        Returns:
            What was not published, if anything.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer or is full.
        """
        paths = left_behind(self.store, self.group) if self.has_topic else []
        # Another one first each time: one that always fails keeps no other there.
        first = SystemRandom().randrange(len(paths)) if paths else 0
        paths = paths[first:] + paths[:first]
        removed = removed_entities(self.store) if paths else ()
        dead = self.dead.total()
        unsent = 0
        for number, path in enumerate(paths):
            if number and (self.is_resting or time.monotonic() > until):
                break
            outbox = read_outbox(self.store, path)
            if outbox is None:
                continue
            if outbox.spoilt:
                where = self.store.uri(path)
                self._warn(
                    f"{where}: {counted(len(outbox.spoilt), 'line')} in it name nothing;"
                    " take them out, the others are passed on"
                )
            left = [each for each in outbox.left if each.asked.entity not in removed]
            said = [Said(e) if e.asked.letters else something_new(e.asked.entity) for e in left]
            failed = self.tell(said)
            unsent += len(failed)
            still = [each.taken_in for each in failed.values()]
            if still != outbox.left or not (still or outbox.spoilt):
                rewrite(self.store, outbox._replace(left=still))
        return self.problem(unsent, self.dead.total() - dead)

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
