"""What a run passes on: the message of every entity once it is recorded, at least once.

The order of the durable steps, of each of which a kill repeats what comes after:

1. the ledger knows the entity (whoever calls `recorded` has seen to that);
2. its messages are published, or kept as dead letters where the topic will never take them;
3. what cannot be published now is left in the outbox, at the latest before the run waits for
   others or ends;
4. a receipt says so;
5. messages of what failed are held; of what waits for its input are put aside, and the sensor's
   next tick asks for it;
6. the batch leaves the inbox.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from klio_dagster.core.letter import Asked, TakenIn
from klio_dagster.core.plan import PING, Decision, Plan
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.telling import Held, Said, Telling, something_new
from klio_dagster.errors import PubSubError
from klio_dagster.store.inbox import Batch, put_batch, read_batch, remove_batch
from klio_dagster.store.kept import Waiting, hold, put_unasked
from klio_dagster.store.outbox import forget_published, published, put_published
from klio_dagster.store.store import Store

_MOST_UNSENT = 1000  # entities whose messages are held in memory
_AT_ONCE = 500  # entities that are told of together


@dataclass(slots=True)
class _Progress:
    """How far a run is with an entity."""

    left: set[str] = field(default_factory=set[str])
    """Keys of the assets to be computed that have no receipt yet."""
    is_given_up: bool = False
    """By the plan: nothing of it is computed, or not all."""
    broken: set[str] = field(default_factory=set[str])
    """Keys of the assets whose last receipt is a failure's: a job elsewhere may send another."""
    waits: bool = False
    is_whole: bool = False
    """The run is about all assets of the entity, and it is not only pinged."""

    @property
    def is_done(self) -> bool:
        return not (self.left or self.has_failed or self.waits)

    @property
    def has_failed(self) -> bool:
        return self.is_given_up or bool(self.broken)


class PassingOn:
    """The messages of one run of one group, or of a batch that needs no run.

    Args:
        group: the group.
        telling: who is told, and where messages are kept.
        work: id of the batch, or of the run's work.
        batch: what the run was asked for by messages; None for a run without any.
        asked: its lines.
    """

    def __init__(
        self,
        *,
        group: EntityGroup,
        telling: Telling,
        work: str,
        batch: Batch | None = None,
        asked: Sequence[Asked] = (),
    ) -> None:
        self._store: Store = telling.store
        self._group = group
        self._telling = telling
        self._work = work
        self._batch = batch
        self._asked: Mapping[str, Asked] = {each.entity: each for each in asked}
        self._progress: dict[str, _Progress] = {}
        self._published = published(self._store, work) if batch is not None else set[str]()
        self._names = frozenset(asset.name for asset in group.chain.assets)
        self._unsent: dict[str, Said] = {}
        self._left_in_outbox = 0
        self._dead_before = telling.dead.total()
        self._unrecorded: set[str] = set()
        # A run without messages, topic or held ones keeps no book at all.
        self._is_needed = bool(telling.has_topic or batch or telling.held)

    def planned(self, plan: Plan, unrecorded: Iterable[tuple[str, str]] = ()) -> None:
        """Take in what a round computes; what it only skips is passed on at once.

        Args:
            plan: of the round.
            unrecorded: (asset key, entity) of what a live run has finished and the ledger may not
                know yet. Where the plan relies on it the entity is left to the next run of the
                batch.
        """
        if not self._is_needed:
            return
        keys = self._group.keys
        by_key = {keys[name]: verdicts for name, verdicts in plan.verdicts.items()}
        self._unrecorded |= {
            entity
            for key, entity in unrecorded
            if entity in self._asked
            and (verdict := by_key.get(key, {}).get(entity))
            and verdict.decision is Decision.SKIP
        }
        now = [entity for entity in plan.entities if self._note(plan, entity).is_done]
        wanted = self._asked.keys() | self._telling.held.keys()
        self._pass_on((e for e in now if e in wanted), are_new=False)

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
            if receipt.failure is None:
                progress.broken.discard(receipt.asset)
            else:
                progress.broken.add(receipt.asset)
            if progress.is_done:
                done.append(receipt.entity)
        self._pass_on(done, are_new=True)

    def leave_unsent(self) -> None:
        """Leave in the outbox what could not be published: nothing else will remember it.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer or is full.
        """
        if not self._unsent:
            return
        unsent = [*self._unsent.values()]
        self._telling.leave(self._work, [each for each in unsent if each.letters])
        self._unsent = {}  # only now: what could not be left is tried once more
        self._left_in_outbox += len(unsent)
        self._settled(unsent)

    def finish(
        self,
        plan: Plan,
        waits_for: Mapping[str, Collection[str]],
        when_waiting: Callable[[], None] = lambda: None,
    ) -> PubSubError | None:
        """Put aside the messages of what is not done, and take the batch out of the inbox.

        What waits for another run stays in it.

        Args:
            plan: of the whole run.
            waits_for: entity to the work ids of those that hold it.
            when_waiting: called when a part of the batch is left in the inbox.

        Returns:
            What was not published, if anything; none of it is lost.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: it did not answer or is full.
        """
        self.leave_unsent()
        dead = self._telling.dead.total() - self._dead_before
        problem = self._telling.problem(self._left_in_outbox, dead)
        if self._batch is not None:
            left = self._left(plan, waits_for)
            # Somebody else may have settled it meanwhile; then there is nothing to be left.
            if left and read_batch(self._store, self._batch) is not None:
                put_batch(self._store, self._batch, left)
                when_waiting()
                return problem
        # Before the batch, or a kill in between would leave them lying for ever: at worst its
        # messages are passed on twice.
        if self._batch is not None or self._telling.has_topic:  # or there are none
            forget_published(self._store, self._work)
        if self._batch is not None:
            remove_batch(self._store, self._batch)
        return problem

    def _note(self, plan: Plan, entity: str) -> _Progress:
        """How far we are with an entity, a round being planned."""
        decided = {name: verdicts[entity].decision for name, verdicts in plan.verdicts.items()}
        decisions = decided.values()
        progress = self._progress.setdefault(entity, _Progress())
        keys = self._group.keys
        progress.left |= {keys[name] for name, each in decided.items() if each is Decision.RUN}
        progress.is_given_up |= Decision.FAIL in decisions or Decision.REFUSE in decisions
        progress.waits = Decision.WAIT in decisions
        is_pinged = any(verdicts[entity].reason == PING for verdicts in plan.verdicts.values())
        progress.is_whole |= decided.keys() >= self._names and not is_pinged
        return progress

    def _pass_on(self, entities: Iterable[str], *, are_new: bool) -> None:
        skip = (self._published, self._unrecorded, self._unsent.keys())
        due = [e for e in dict.fromkeys(entities) if not any(e in some for some in skip)]
        for start in range(0, len(due), _AT_ONCE):
            some = due[start : start + _AT_ONCE]
            # What is held of an entity is told once all of it is there.
            held = self._telling.held_of(e for e in some if self._progress[e].is_whole)
            said = [self._said_of(e, held.get(e, ()), is_new=are_new) for e in some]
            self._tell(said)

    def _tell(self, said: list[Said]) -> None:
        known = self._unsent
        # Whatever breaks from here on, they are not forgotten.
        self._unsent = known | {each.entity: each for each in said}
        if not self._telling.is_resting:  # or they would be tried in vain, and more each time
            said, known = [*said, *known.values()], {}
        self._unsent = known | self._telling.tell(said)
        self._settled([each for each in said if each.entity not in self._unsent])
        if len(self._unsent) >= _MOST_UNSENT:
            self.leave_unsent()

    def _said_of(self, entity: str, held: Held, *, is_new: bool) -> Said:
        asked = self._asked.get(entity, Asked(entity=entity))
        sensor = self._batch.sensor if self._batch is not None else ""
        said = self._telling.said_of(TakenIn(sensor=sensor, asked=asked), held)
        if said.letters or entity in self._asked or not is_new:
            return said
        return replace(something_new(entity), held=said.held)

    def _settled(self, said: Sequence[Said]) -> None:
        """Note that these were told, or left in the outbox; nothing is held of them any longer."""
        self._published.update(each.entity for each in said)
        noted = [each.entity for each in said if self._is_noted(each)]
        if noted:
            put_published(self._store, self._work, noted)
        self._telling.let_go(said)

    def _is_noted(self, said: Said) -> bool:
        """Or it would be told of again; or, where it was forced, computed again."""
        asked = self._asked.get(said.entity)
        return bool(said.letters and self._telling.has_topic) or (asked is not None and asked.force)

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
            elif progress.has_failed and asked.letters and not _is_refused(plan, entity):
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
