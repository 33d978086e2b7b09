"""What follows from a worker's death: what failed, and what is to be computed yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.engine.outcome import blocked_by, failed_receipt
from klio_dagster.engine.process import Computing

_MOST_UNEXPLAINED_DEATHS = 3  # of workers that had an entity but had begun nothing of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a worker died.

    Args:
        failure: what is said of it.
        computing: what it was doing.
        is_explained: it is known that nothing the worker was given is to blame.
        is_certain: what it was doing is to blame, and not what was before.
        notes: what else there is to say.
    """

    failure: Failure
    computing: Computing | None = None
    is_explained: bool = False
    is_certain: bool = True
    notes: Sequence[str] = ()


@dataclass(slots=True)
class Aftermath:
    """What follows for the tasks a worker had before it.

    Args:
        manifest: the run's head.
        death: of the worker.
        now: seconds since the epoch.
    """

    manifest: Manifest
    death: Death
    now: float
    failed: list[Receipt] = field(default_factory=list[Receipt])
    """Receipts that are to be written."""
    left: list[Task] = field(default_factory=list[Task])
    """Tasks to go on with: those that are computed apart first."""

    def account(self, group: Sequence[Task], written: Sequence[Receipt]) -> None:
        """Take in the tasks that were computed together.

        Args:
            group: the tasks.
            written: receipts that the worker wrote of them.
        """
        by_entity: dict[str, list[Receipt]] = {}
        for receipt in written:
            by_entity.setdefault(receipt.entity, []).append(receipt)
        open_tasks = {
            position: left
            for position, task in enumerate(group)
            if (left := self._without_finished(task, by_entity.get(task.entity, []))).run
        }
        doing = self.death.computing
        victims = [
            position
            for position in (doing.positions if doing else ())
            if position in open_tasks and doing and doing.asset in open_tasks[position].run
        ]
        for position, task in open_tasks.items():
            if doing and position in victims:
                self._victim(replace(task, tried={**task.tried, doing.asset: doing.earlier}), doing)
            elif victims or self.death.is_explained:
                self.left.append(task)
            else:
                self._unexplained(task)
        self.left.sort(key=lambda task: not task.tried)

    def _without_finished(self, task: Task, written: Sequence[Receipt]) -> Task:
        """What is left of a task; what depends on a failed asset of it is failed here."""
        names = {part.key: part.name for part in self.manifest.chain if not part.is_step}
        versions = {names[r.asset]: r.data_version for r in written if not r.failure}
        done = {names[r.asset] for r in written}
        left = task.only([name for name in task.run if name not in done], versions)
        for receipt in written:
            if receipt.failure:
                left = self._blocked(left, names[receipt.asset])
        return left

    def _victim(self, task: Task, doing: Computing) -> None:
        """It was being computed: it fails, unless others may be to blame."""
        failure = self.death.failure
        if len(doing.positions) > 1 or not self.death.is_certain:
            self.left.append(task.tried_again(doing.asset, str(failure)))
        else:
            self._fail(task, doing.asset, failure, doing.started_at)

    def _unexplained(self, task: Task) -> None:
        """Nothing was begun: tried again, apart from others, a few times."""
        name = task.run[0]
        if len(task.tried.get(name, ())) + 1 < _MOST_UNEXPLAINED_DEATHS:
            self.left.append(task.tried_again(name, str(self.death.failure)))
        else:
            self._fail(task, name, self.death.failure, self.now)

    def _fail(self, task: Task, name: str, failure: Failure, started_at: float) -> None:
        self._write(task, name, failure, started_at, self.death.notes)
        rest = task.only([each for each in task.run if each != name], {})
        rest = self._blocked(rest, name)
        if rest.run:
            self.left.append(rest)

    def _blocked(self, task: Task, failed: str) -> Task:
        """Receipts for what cannot be computed now; the task without it."""
        parts = {part.name: part for part in self.manifest.chain}
        lost = dict(blocked_by(failed, parts, task.run))
        for name, cause in lost.items():
            self._write(task, name, Failure.blocked_by(f"'{cause}'"), self.now)
        return task.only([name for name in task.run if name not in lost], {})

    def _write(
        self,
        task: Task,
        name: str,
        failure: Failure,
        started_at: float,
        notes: Sequence[str] = (),
    ) -> None:
        part = next(part for part in self.manifest.chain if part.name == name)
        self.failed.append(
            failed_receipt(
                self.manifest,
                task,
                part,
                failure,
                started_at=started_at,
                finished_at=self.now,
                notes=notes,
            )
        )
