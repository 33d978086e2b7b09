"""One tick of a message sensor: the order of its durable steps.

1. What runs have recorded and could not tell is told (`defs.telling`).
2. What waits for inputs is asked for upstream (`streaming.waiting`). Messages are pulled, decoded
   and sorted, with them what has waited; batches and dead letters are written to the store.
3. Then they are acknowledged.
4. Their entities are registered as partitions.
5. Batches that need no run are passed on and removed; of each other that no live run works on one
   run is requested.
6. Now and then, what is held of entities that are whole by now is passed on.

A kill at any point loses nothing: what is not acknowledged comes again, and what is in the inbox is
asked for by the next tick.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg

from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked
from klio_dagster.defs.lanes import LANE_TAG, MESSAGES
from klio_dagster.defs.liveness import Liveness
from klio_dagster.defs.messages import JOB_TAG, job_of
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.defs.requested import (
    entity_run_tags,
    register_asked,
)
from klio_dagster.defs.sending import Sending
from klio_dagster.errors import ConfigError, KlioError, PubSubError
from klio_dagster.ledger.ledger import Ledger, ledger_of
from klio_dagster.pubsub.settings import subscription_path
from klio_dagster.store.dead_letter import DeadLetter, put_all
from klio_dagster.store.inbox import Batch, list_batches, read_batch, remove_batch
from klio_dagster.store.outbox import forget_published, published
from klio_dagster.store.removed import removed_entities
from klio_dagster.store.store import Store
from klio_dagster.streaming.filling import Filling
from klio_dagster.streaming.intake import TIME_BUDGET_S, Intake
from klio_dagster.streaming.look import Looks
from klio_dagster.streaming.replays import replays
from klio_dagster.streaming.report import Report
from klio_dagster.streaming.requests import (
    ATTEMPT_TAG,
    BATCH_TAG,
    MOST_ATTEMPTS,
    Standing,
    run_key,
    standings,
)
from klio_dagster.streaming.settings import SensorSettings
from klio_dagster.streaming.waiting import Waits
from klio_dagster.streaming.without_run import WithoutRun

RUN_FAILED = "run_failed"
SENSOR_TAG = "klio/sensor"
_WARNED_EVERY_S = 600.0


@dataclass(slots=True)
class Remembered:
    """What a process knows of a sensor from one tick to the next; nothing depends on it.

    Args:
        looks: when it looked for inputs last.
        looks_at_held: when it looked last whether held messages are held for nothing.
        sending: to the group's topic, which may have been out of order a moment ago.
        left: batches in the inbox and files in the outbox, as they were said last.
        warned: lines to when they were said last, by the monotonic clock.
    """

    looks: Looks = field(default_factory=Looks)
    looks_at_held: Looks = field(default_factory=Looks)
    sending: Sending | None = None
    left: tuple[int, int] = (0, 0)
    warned: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(slots=True)
class Tick:
    """One evaluation of a message sensor.

    Args:
        context: Dagster's.
        settings: of the sensor.
        store: that of the group.
        pubsub: Pub/Sub's settings.
        remembered: what this process knows from the ticks before.
    """

    context: dg.SensorEvaluationContext
    settings: SensorSettings
    store: Store
    pubsub: KlioPubSubResource
    remembered: Remembered = field(default_factory=Remembered)
    report: Report = field(default_factory=Report)
    _ledger: Ledger | None = None

    def result(self) -> dg.SensorResult:
        """The runs to request, or why none.

        Raises:
            PubSubError: messages cannot be pulled or passed on, and there is nothing to request.
            ConfigError: the store or a name is configured wrongly.
            StoreUnavailableError: the store did not answer.
        """
        passes = WithoutRun(
            context=self.context,
            settings=self.settings,
            store=self.store,
            pubsub=self.pubsub,
            job=self._job,
            ledger=lambda: self.ledger,
            report=self.report,
            warn=self._warn,
            sending=self.remembered.sending,
        )
        try:
            return self._result(passes)
        finally:
            self.remembered.sending = passes.sending

    def _result(self, passes: WithoutRun) -> dg.SensorResult:
        passes.deliver_outbox()
        waits = Waits(
            self.context,
            self.settings,
            self.store,
            self._job,
            lambda: self.ledger,
            self._warn,
            self.remembered.looks,
        )
        self._ask_upstream(waits)
        self._take_in(waits)
        requests = self._requests(passes)
        try:
            passes.pass_on_held(self.remembered.looks_at_held)
        except KlioError as error:
            self._warn(str(error))  # what is requested is not to wait for it
        self.report.outbox = passes.left_in_outbox()
        # Dagster keeps a file of each tick that logs anything, for ever; the reason for a skip it
        # keeps with the tick.
        left = (self.report.depth, self.report.outbox)
        if not self.report.is_quiet or left != self.remembered.left:
            self.context.log.info(str(self.report))
        self.remembered.left = left
        if self.report.errors and not requests:
            # Dagster shows what it was raised from, page by page: what this says is enough.
            raise self.report.errors[0].with_traceback(None) from None
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SensorResult(skip_reason=str(self.report))

    @property
    def _subscription(self) -> str:
        return subscription_path(self.pubsub.settings(), self.settings.subscription)

    @property
    def _job(self) -> JobId:
        return job_of(self.settings.group, self._subscription)

    def _warn(self, line: str) -> None:
        """Say what is spoilt, now and then: it stays so until somebody sees to it."""
        now = time.monotonic()
        if now - self.remembered.warned.get(line, -_WARNED_EVERY_S) >= _WARNED_EVERY_S:
            self.remembered.warned[line] = now
            self.context.log.warning(line)

    def _ask_upstream(self, waits: Waits) -> None:
        """Ask for the inputs that runs have missed."""
        try:
            waits.ask(self.pubsub.publisher)
        except PubSubError as error:
            self.report.errors.append(error)
        self.report.asked_upstream = waits.asked

    def _take_in(self, waits: Waits) -> None:
        """Steps 2 and 3."""
        until = time.monotonic() + TIME_BUDGET_S
        settings = self.settings
        room = settings.max_inbox_batches - len(list_batches(self.store, settings.name))
        most = min(settings.max_messages, settings.group.max_entities_per_run)
        intake = Intake(
            store=self.store,
            group=settings.group.name,
            sensor=settings.name,
            job=self._job,
            decoder=settings.decoder,
            removed=removed_entities(self.store),
            filling=Filling(most=most, most_bytes=settings.max_bytes, answers=waits.answers),
            waiting=waits.of,
        )
        self.report.taken = intake.taken
        if room <= 0:
            self.report.is_full = True
            return
        for letter, let_go in replays(self.store, settings.name, self._warn):
            if not intake.has_room(room, len(letter.data)) or time.monotonic() > until:
                break  # the others come with the next tick
            intake.add(letter, let_go)
        waits.end(intake, room)
        try:
            intake.pull(self.pubsub.subscription(settings.subscription), room, until)
        except PubSubError as error:
            self.report.errors.append(error)
            intake.flush()  # what came from elsewhere
        if intake.problem is not None:
            self.report.errors.append(intake.problem)

    def _requests(self, passes: WithoutRun) -> list[dg.RunRequest]:
        """Steps 4 and 5."""
        requests: list[dg.RunRequest] = []
        batches = list_batches(self.store, self.settings.name)
        if not batches:
            return requests
        instance = self.context.instance
        liveness, removed = Liveness.of(self.store), removed_entities(self.store)
        known = standings(instance, liveness, batches)
        for batch in batches:
            standing = known[batch]
            asked = self._to_be_asked(batch, standing, liveness)
            if asked is None:
                continue
            self.report.registered += register_asked(
                instance, self.settings.group.partitions, asked, removed=removed
            )
            if passes.settles(batch, asked):
                continue
            requests.append(self._request(batch, standing, asked))
        self.report.requested = len(requests)
        self.report.depth = len(list_batches(self.store, self.settings.name))
        return requests

    def _to_be_asked(
        self, batch: Batch, standing: Standing, liveness: Liveness
    ) -> Sequence[Asked] | None:
        """What a batch asks for, if it is its turn; None if not, or not any more."""
        if standing.live is not None or time.time() < standing.rests_until:
            return None
        try:
            asked = read_batch(self.store, batch)
        except ConfigError as error:
            self._warn(str(error))  # it stops no other batch
            return None
        if asked is None:
            return None
        self.report.see(asked)
        if standing.is_given_up:
            self._give_up(batch, standing, asked)
            return None
        if standing.has_waited and any(w in liveness.works for a in asked for w in a.waits_for):
            return None
        return asked

    def _give_up(self, batch: Batch, standing: Standing, asked: Sequence[Asked]) -> None:
        """Move a batch to the dead letters: its runs ended, five times, without settling it."""
        told = published(self.store, batch.id)
        error = f"{MOST_ATTEMPTS} runs ended without it, the last one {standing.last}"
        dead = [
            DeadLetter(
                group=self.settings.group.name,
                sensor=self.settings.name,
                entity=each.entity,
                reason=RUN_FAILED,
                error=error,
                at=time.time(),
                attempts=standing.attempts,
                letter=letter,
            )
            for each in asked
            if each.entity not in told
            for letter in each.letters
        ]
        put_all(self.store, dead)
        self.report.taken.dead[RUN_FAILED] += len(dead)
        forget_published(self.store, batch.id)
        remove_batch(self.store, batch)

    def _request(self, batch: Batch, standing: Standing, asked: Sequence[Asked]) -> dg.RunRequest:
        settings = self.settings
        config = {
            "manifest": batch.path,
            "rerun_on": sorted(reason.value for reason in settings.rerun_on),
            "max_wait_s": 0.0,  # what others hold stays in the inbox, and the slot is free
        }
        return dg.RunRequest(
            run_key=run_key(batch, standing.number),
            run_config={"ops": {settings.group.name: {"config": config}}},
            tags={
                **entity_run_tags(str(len(asked))),
                BATCH_TAG: batch.id,
                ATTEMPT_TAG: str(standing.number),
                SENSOR_TAG: settings.name,
                JOB_TAG: str(self._job),
                LANE_TAG: MESSAGES,
                "dagster/priority": str(settings.priority),
            },
        )

    @property
    def ledger(self) -> Ledger:
        """Dagster's log."""
        if self._ledger is None:
            self._ledger = ledger_of(self.context.instance, describe=metadata_of)
        return self._ledger
