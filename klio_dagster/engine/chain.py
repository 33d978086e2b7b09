"""Entities through their chain: values in memory, each output stored once, a receipt for each.

Several entities go through it together, asset by asset, where a transform takes many at once.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from klio_dagster.codecs.hashing import data_version
from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.engine.attempt import Attempt, Begin, EntityInChain, PartComputer, SetUp
from klio_dagster.engine.outcome import (
    Done,
    Failed,
    FailedTogether,
    Looked,
    Outcome,
    as_look,
    blocked_by,
)
from klio_dagster.engine.retry import NO_WAITS, Waits
from klio_dagster.store.objects import ObjectStore

Write = Callable[[Receipt], None]
Settled = Done | Looked | Failed
Notes = Callable[[], Sequence[str]]


class EntityChain:
    """Computes tasks of one manifest in this process.

    Args:
        manifest: the run's head.
        store: where outputs lie.
        write: makes a receipt durable.
        begin: told before each computation, so that a supervisor knows what was running.
        notes: what there is to say of an attempt that has just ended.
        set_up: told when a class was set up.
        waits: between two attempts.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        manifest: Manifest,
        store: ObjectStore,
        write: Write,
        begin: Begin,
        *,
        notes: Notes = tuple,
        set_up: SetUp = lambda: None,
        waits: Waits = NO_WAITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._manifest = manifest
        self._store = store
        self._write = write
        self._begin = begin
        self._notes = notes
        self._waits = waits
        self._clock = clock
        self._chain = {part.name: part for part in manifest.chain}
        self._computer = PartComputer(manifest, store, begin, set_up)

    def import_transforms(self) -> None:
        """Import what the chain needs, so that no entity's time pays for it."""
        self._computer.import_transforms()

    def run(self, tasks: Sequence[Task]) -> None:
        """Compute the assets of some entities; every one of them has a receipt afterwards.

        Raises:
            OutputRefusedError: the store is full, or does not let us write.
            StoreLoginError: our credentials have expired.
            StoreUnavailableError: a receipt could not be written.
        """
        group = [self._computer.entity(n, task) for n, task in enumerate(tasks)]
        try:
            for name in self._order(tasks):
                self._compute(name, [each for each in group if name in each.task.run])
        finally:
            for each in group:
                each.values.forget_files()

    def _compute(self, name: str, ready: Sequence[EntityInChain]) -> None:
        if any(name in each.blocked for each in ready):
            ready = list(self._without_blocked(name, ready))
        size = self._chain[name].batch_size
        for start in range(0, len(ready), size):
            self._settle(name, ready[start : start + size])

    def _order(self, tasks: Sequence[Task]) -> Sequence[str]:
        if len(tasks) == 1:
            return tasks[0].run
        wanted = {name for task in tasks for name in task.run}
        return [part.name for part in self._manifest.chain if part.name in wanted]

    def _without_blocked(
        self, name: str, entities: Sequence[EntityInChain]
    ) -> Iterator[EntityInChain]:
        for each in entities:
            if name not in each.blocked:
                yield each
                continue
            now = self._clock()
            attempt = Attempt([each], (), started_at=now)
            cause = Failure.blocked_by(f"'{each.blocked[name]}'")
            self._write(self._receipt(attempt, each, name, Failed(cause)))

    def _settle(self, name: str, entities: Sequence[EntityInChain]) -> None:
        """Attempts at an asset until it has a receipt for each of the entities."""
        waiting = [Attempt(entities, tuple(entities[0].task.tried.get(name, ())))]
        while waiting:
            attempt = waiting.pop(0)
            self._waits.until(attempt.not_before)
            attempt.started_at, cpu = self._clock(), time.process_time()
            outcomes = self._computer.outcomes(name, attempt)
            attempt.cpu_s = (time.process_time() - cpu) / len(attempt.entities)
            attempt.notes = tuple(self._notes())
            again = self._again(name, attempt, outcomes)
            if again:
                waiting = sorted([*waiting, *again], key=lambda each: each.not_before)

    def _again(self, name: str, attempt: Attempt, outcomes: Sequence[Outcome]) -> Sequence[Attempt]:
        """Receipts for what is settled; the attempts that are to be made yet."""
        again: list[Attempt] = []
        failed_together: list[EntityInChain] = []
        may_retry = len(attempt.earlier) < self._chain[name].retries
        for entity, outcome in zip(attempt.entities, outcomes, strict=True):
            if isinstance(outcome, FailedTogether):
                failed_together.append(entity)
            elif isinstance(outcome, Failed) and outcome.failure.transient and may_retry:
                earlier = (*attempt.earlier, str(outcome.failure))
                again.append(Attempt([entity], earlier, self._waits.over_at(len(earlier))))
            else:
                self._finish(name, attempt, entity, outcome)
        if failed_together:
            failure = next(o.failure for o in outcomes if isinstance(o, FailedTogether))
            earlier = (*attempt.earlier, f"{failure} (of {len(failed_together)} together)")
            if failure.transient and may_retry:
                until = self._waits.over_at(len(earlier))
                again.append(Attempt(failed_together, earlier, until))
            else:  # one by one, so that only those fail that cannot be computed
                again.extend(Attempt([entity], earlier) for entity in failed_together)
        return again

    def _finish(self, name: str, attempt: Attempt, entity: EntityInChain, outcome: Settled) -> None:
        receipt = self._receipt(attempt, entity, name, outcome)
        self._write(receipt)
        if isinstance(outcome, Failed):
            run = entity.task.run
            entity.blocked.update(blocked_by(name, self._chain, run[run.index(name) + 1 :]))
        else:
            entity.versions[name] = receipt.data_version

    def _receipt(
        self, attempt: Attempt, entity: EntityInChain, name: str, outcome: Settled
    ) -> Receipt:
        part, versions = self._chain[name], entity.versions
        common = Receipt(
            run=self._manifest.run,
            attempt=self._manifest.attempt,
            entity=entity.task.entity,
            asset=part.key,
            code_version=part.code_version,
            inputs={key: versions[dep] for dep, key in part.inputs.items() if dep in versions},
            started_at=round(attempt.started_at, 6),
            finished_at=round(self._clock(), 6),
            cpu_s=round(attempt.cpu_s, 6),
            together=len(attempt.entities),
            earlier=attempt.earlier,
            notes=attempt.notes,
            checks=tuple(outcome.checks),
        )
        if isinstance(outcome, Failed):
            failed = replace(common, failure=outcome.failure)
            return as_look(failed, part) if part.is_looked_at else failed
        if isinstance(outcome, Looked):
            return replace(common, is_look=True)
        return replace(
            common,
            uri=outcome.uri,
            size=len(outcome.data.data),
            data_version=data_version(outcome.data.data),
            codec=part.codec or {},
            metadata={**outcome.data.metadata, **outcome.result.metadata},
            figures={**outcome.data.figures, **outcome.result.figures},
            columns=outcome.data.columns,
        )
