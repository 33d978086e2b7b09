"""What a tick passes on itself: batches of which nothing is to be computed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked
from klio_dagster.core.plan import Decision, Plan
from klio_dagster.core.request import Request
from klio_dagster.defs.knowledge import gather
from klio_dagster.defs.messages import telling
from klio_dagster.defs.passing_on import PassingOn
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.defs.requested import partitioned_outside, request_of
from klio_dagster.defs.sending import Sending
from klio_dagster.defs.sensing import graph_of
from klio_dagster.defs.telling import Telling
from klio_dagster.errors import PubSubError
from klio_dagster.ledger.in_flight import in_flight
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.inbox import Batch
from klio_dagster.store.kept import held_entities
from klio_dagster.store.outbox import left_behind, published
from klio_dagster.store.store import Store
from klio_dagster.streaming.look import Looks
from klio_dagster.streaming.report import Report
from klio_dagster.streaming.settings import SensorSettings

_EVERY_S = 60.0
_BUDGET_S = 10.0  # a tick has messages to pull, too
_AT_ONCE = 500


@dataclass(slots=True)
class WithoutRun:
    """What one tick of a sensor passes on.

    Args:
        context: Dagster's.
        settings: of the sensor.
        store: that of the group.
        pubsub: Pub/Sub's settings.
        job: who we are.
        ledger: Dagster's log; asked for when it is needed.
        report: of the tick.
        warn: takes a line.
        sending: to the group's topic, from one tick to the next.
    """

    context: dg.SensorEvaluationContext
    settings: SensorSettings
    store: Store
    pubsub: KlioPubSubResource
    job: JobId
    ledger: Callable[[], Ledger]
    report: Report
    warn: Callable[[str], None]
    sending: Sending | None = None
    _telling: Telling | None = None

    def deliver_outbox(self) -> None:
        """Pass on what runs have recorded and could not tell.

        Raises:
            ConfigError: a name is wrong, or the store does not let us write.
            StoreUnavailableError: the store did not answer.
        """
        if left_behind(self.store, self.settings.group.name):
            self._add(self.telling.deliver_outbox(time.monotonic() + _BUDGET_S))

    def pass_on_held(self, looks: Looks) -> None:
        """Pass on what is held of entities that have failed and are whole by now.

        Who records an entity passes on what is held of it; but the run in which it failed may have
        held it a moment later.

        Args:
            looks: when this process did so last.
        """
        if not looks.is_due(_EVERY_S):
            return
        looks.at = looked = time.monotonic()
        held = list(held_entities(self.store, self.settings.group.name))
        whole = self._whole(held) if held else []
        if whole:
            self.telling.forget_held()
        for start in range(0, len(whole), _AT_ONCE):
            if start and self.telling.is_resting:
                return
            if start and time.monotonic() > looked + _BUDGET_S:
                looks.at = None  # the next tick goes on
                return
            some = tuple(whole[start : start + _AT_ONCE])
            request = Request(entities=some, rerun_on=self.settings.rerun_on)
            self._pass_on(self._passing("held", None), self._plan(request))

    def settles(self, batch: Batch, asked: Sequence[Asked]) -> bool:
        """Pass on and remove a batch, if nothing of it is to be computed.

        Args:
            batch: of the inbox.
            asked: what it asks for.

        Returns:
            Whether it needs no run.

        Raises:
            ConfigError: a source or the graph is configured wrongly.
            StoreUnavailableError: the store did not answer.
        """
        if self._has_work_at_a_glance(batch, asked):
            return False
        request = request_of(asked, self.settings.rerun_on)
        request = replace(request, forced=frozenset())  # if any, they were computed and passed on
        plan = self._plan(request)
        decisions = {v.decision for verdicts in plan.verdicts.values() for v in verdicts.values()}
        if decisions - {Decision.SKIP, Decision.REFUSE}:
            return False
        self._pass_on(self._passing(batch.id, batch, asked), plan)
        self.report.up_to_date += len(asked)
        return True

    def left_in_outbox(self) -> int:
        """How many objects of the outbox have still to be passed on, if this tick has met any.

        Raises:
            ConfigError: the store does not let us read.
            StoreUnavailableError: it did not answer.
        """
        if self._telling is None:
            return 0
        return len(left_behind(self.store, self.settings.group.name))

    @property
    def telling(self) -> Telling:
        """Tells others; one a tick, so that a topic out of order is waited for once.

        Raises:
            ConfigError: the topic's name is wrong, or nobody says which project it is in.
        """
        if self._telling is None:
            self._telling = telling(
                self.store,
                self.settings.group,
                self.pubsub,
                warn=self.warn,
                job=self.job,
                sending=self.sending,
            )
            self.sending = self._telling.sending
        return self._telling

    def _has_work_at_a_glance(self, batch: Batch, asked: Sequence[Asked]) -> bool:
        """Something is forced, or not materialised at all: seen without listing any source."""
        asking = [each for each in asked if not each.ping]
        forced = {each.entity for each in asking if each.force}
        if forced and forced - published(self.store, batch.id):
            return True
        entities = [each.entity for each in asking]
        return bool(entities) and len(self._whole(entities)) < len(entities)

    def _whole(self, entities: Sequence[str]) -> list[str]:
        """Those of which each output is materialised, and was when it was tried last."""
        records = self.ledger().records(self._keys, entities).values()
        found = ((entity, [of_asset.get(entity) for of_asset in records]) for entity in entities)
        return [e for e, of in found if all(r and r.materialized and not r.failed for r in of)]

    def _plan(self, request: Request) -> Plan:
        group = self.settings.group
        names = [asset.name for asset in group.chain.assets]
        gathered = gather(
            group,
            request,
            names,
            ledger=self.ledger(),
            store=self.store,
            partitioned=partitioned_outside(group, graph_of(self.context)),
            # Only what the ledger says: what is finished and not recorded yet may still be lost.
            in_flight=replace(in_flight(self.store, self._keys, request.entities), receipts=()),
        )
        return gathered.plan(group)

    @property
    def _keys(self) -> list[str]:
        """Of the assets that are computed: the group has the keys of its sources, too."""
        group = self.settings.group
        return [group.keys[asset.name] for asset in group.chain.assets]

    def _passing(self, work: str, batch: Batch | None, asked: Sequence[Asked] = ()) -> PassingOn:
        return PassingOn(
            group=self.settings.group, telling=self.telling, work=work, batch=batch, asked=asked
        )

    def _pass_on(self, passing: PassingOn, plan: Plan) -> None:
        passing.planned(plan)
        self._add(passing.finish(plan, {}))

    def _add(self, error: PubSubError | None) -> None:
        """Count what was published, and what became a dead letter, so far."""
        self.report.passed_on, self.report.dead = self.telling.told, self.telling.dead
        # One topic out of order is said once, however many batches are concerned.
        said = {(type(each), each.where) for each in self.report.errors}
        if error is not None and (type(error), error.where) not in said:
            self.report.errors.append(error)
