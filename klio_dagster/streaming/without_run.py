"""What a tick passes on itself: batches of which nothing is to be computed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked
from klio_dagster.core.plan import Decision, Plan
from klio_dagster.core.request import Request
from klio_dagster.defs.knowledge import gather
from klio_dagster.defs.messages import passing
from klio_dagster.defs.passing_on import PassingOn
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.defs.requested import Wanted, partitioned_outside, request_of
from klio_dagster.defs.sensing import graph_of
from klio_dagster.errors import ConfigError, PubSubError
from klio_dagster.ledger.in_flight import in_flight
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.inbox import Batch, put_batch, read_batch, remove_batch
from klio_dagster.store.kept import held_entities
from klio_dagster.store.layout import outbox_prefix
from klio_dagster.store.outbox import forget_published
from klio_dagster.store.store import Store
from klio_dagster.streaming.bury import bury
from klio_dagster.streaming.look import Looks
from klio_dagster.streaming.report import Report
from klio_dagster.streaming.settings import SensorSettings

_NOW_AND_THEN_S = 60.0


@dataclass(slots=True)
class WithoutRun:
    """What one tick of a sensor passes on.

    After Pub/Sub has failed once it passes nothing on: each failure is a wait for an answer, and
    the next tick tries again.

    Args:
        context: Dagster's.
        settings: of the sensor.
        store: that of the group.
        pubsub: Pub/Sub's settings.
        job: who we are.
        ledger: Dagster's log; asked for when it is needed.
        report: of the tick.
    """

    context: dg.SensorEvaluationContext
    settings: SensorSettings
    store: Store
    pubsub: KlioPubSubResource
    job: JobId
    ledger: Callable[[], Ledger]
    report: Report

    def deliver_outbox(self) -> None:
        """Pass on what dead runs have recorded."""
        group = self.settings.group
        if next(iter(self.store.list(outbox_prefix(group.name))), None) is None:
            return
        try:
            self._passing(Wanted(request_of((), self.settings.rerun_on))).deliver_outbox()
        except PubSubError as error:
            self.report.error = error
        except ConfigError as error:
            self.context.log.warning(str(error))  # it stops no message

    def pass_on_held(self, looks: Looks) -> None:
        """Pass on what is held of entities that have failed and are whole by now.

        Who records an entity passes on what is held of it; but the run in which it failed may have
        held it a moment later.

        Args:
            looks: when this process did so last.
        """
        group = self.settings.group
        if self.report.error is not None or not looks.is_due(_NOW_AND_THEN_S):
            return
        held = list(held_entities(self.store, group.name))
        whole = self._whole(held) if held else []
        if whole:
            request = Request(entities=tuple(whole), rerun_on=self.settings.rerun_on)
            self._pass_on(Wanted(request), self._plan(request))
        looks.at = time.monotonic()

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
        if self._has_work_at_a_glance(asked):
            return False
        request = request_of(asked, self.settings.rerun_on)
        plan = self._plan(request)
        decisions = {v.decision for verdicts in plan.verdicts.values() for v in verdicts.values()}
        if decisions - {Decision.SKIP, Decision.REFUSE}:
            return False
        if self.report.error is None:
            self._pass_on(Wanted(request, batch=batch, asked=asked), plan)
        return True

    def _has_work_at_a_glance(self, asked: Sequence[Asked]) -> bool:
        """Something is forced, or not materialised at all: seen without listing any source."""
        asking = [each for each in asked if not each.ping]
        if any(each.force for each in asking):
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

    def _pass_on(self, wanted: Wanted, plan: Plan) -> None:
        passes = self._passing(wanted)
        try:
            passes.planned(plan)
            passes.finish(plan, {})
        except PubSubError as error:
            self.report.error = error  # what is left is in the inbox, and the next tick tries again
            if wanted.batch is not None:
                self._bury_refused(wanted, wanted.batch, passes.refused)
            return
        self.report.up_to_date += len(wanted.asked)

    def _bury_refused(
        self, wanted: Wanted, batch: Batch, refused: Mapping[str, PubSubError]
    ) -> None:
        """Messages that the topic will never take do not stay in the inbox."""
        for each in wanted.asked:
            if each.entity in refused:
                error = str(refused[each.entity])
                self.report.taken.dead["refused"] += bury(
                    self.store, self.settings, each, "refused", error, attempts=1
                )
        left = [a for a in read_batch(self.store, batch) or () if a.entity not in refused]
        if left:
            put_batch(self.store, batch, left)
        elif refused:
            forget_published(self.store, batch.id)
            remove_batch(self.store, batch)

    def _passing(self, wanted: Wanted) -> PassingOn:
        work = wanted.batch.id if wanted.batch else "outbox"
        return passing(
            self.store, self.settings.group, self.pubsub, work=work, wanted=wanted, job=self.job
        )
