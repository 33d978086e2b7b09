"""A batch being filled: what messages ask of each entity, duplicates merged. Pure."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from klio_dagster.core.letter import Asked, Letter
from klio_dagster.message import Message, encode, merged


@dataclass(slots=True)
class _Said:
    """A message of a batch, and the letter it came in."""

    message: Message
    letter: Letter


@dataclass(slots=True)
class Filling:
    """Accepted messages, one line an entity.

    Args:
        most: how many messages one batch takes.
        most_bytes: how many bytes of them; a larger message has a batch for itself.
        answers: whether the first of two messages is what came of asking upstream for the input
            that the second one waits for; then it says nothing new.
    """

    most: int
    most_bytes: int
    answers: Callable[[Message, Message], bool] = lambda _message, _original: False
    messages: int = 0
    bytes: int = 0
    _said: dict[str, list[_Said]] = field(default_factory=dict[str, list[_Said]])
    _sealed: dict[str, list[Message]] = field(default_factory=dict[str, list[Message]])
    _failed: dict[str, bool] = field(default_factory=dict[str, bool])

    @property
    def entities(self) -> Collection[str]:
        """Those that the messages of the batch are about."""
        return self._said.keys()

    def has_room(self, size: int) -> bool:
        """Whether a message of so many bytes still fits."""
        return not self.messages or (
            self.messages < self.most and self.bytes + size <= self.most_bytes
        )

    def add(self, letter: Letter, message: Message) -> bool:
        """Take in a message.

        Args:
            letter: as it came.
            message: what was accepted of it.

        Returns:
            False: another one of this batch, or of one sealed before, asks for the same.
        """
        for known in self._sealed.get(message.entity_id, ()):
            if merged(known, message) == known or self.answers(message, known):
                return False
        self.messages += 1
        self.bytes += len(letter.data)
        said = self._said.setdefault(message.entity_id, [])
        for known in said:
            if self.answers(message, known.message):
                return False
            if self.answers(known.message, message):
                known.message, known.letter = message, replace(letter, forward=encode(message))
                return False
            both = merged(known.message, message)
            if both is None:
                continue
            if both != known.message:
                # The stronger one's own bytes are kept for the dead letter.
                kept = known.letter if message != both else letter
                known.message, known.letter = both, replace(kept, forward=encode(both))
            return False
        said.append(_Said(message, replace(letter, forward=encode(message))))
        return True

    def fail(self, asked: Asked) -> None:
        """Have the next run record that an entity fails, whose messages nobody keeps any longer.

        Args:
            asked: what they asked for.
        """
        self.messages += 1
        self._failed[asked.entity] = asked.force

    def seal(self) -> Iterator[Asked]:
        """The lines of the batch; the next message begins another one.

        What has been sealed is not asked for again until this is thrown away: none of it has been
        planned yet.
        """
        said, self._said = self._said, {}
        failed, self._failed = self._failed, {}
        self.messages = self.bytes = 0
        yield from (
            Asked(entity=entity, force=force)
            for entity, force in failed.items()
            if entity not in said
        )
        for entity, all_said in said.items():
            messages = [each.message for each in all_said]
            self._sealed.setdefault(entity, []).extend(messages)
            yield Asked(
                entity=entity,
                letters=tuple(each.letter for each in all_said),
                force=any(message.force and not message.ping for message in messages),
                ping=all(message.ping for message in messages),
            )
