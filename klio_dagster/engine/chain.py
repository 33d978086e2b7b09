"""One entity through its chain: values in memory, each output stored once, a receipt for each."""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from klio_dagster.codecs.hashing import data_version
from klio_dagster.codecs.registry import codec_from_json
from klio_dagster.core.check import Evaluation, reject
from klio_dagster.core.entity import Entity, Result
from klio_dagster.core.graph import steps_below
from klio_dagster.core.manifest import Manifest, PartSpec, Task
from klio_dagster.core.output import RELOAD, Dumped, OutputCodec, PromisingCodec
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.engine.checks import BoundCheck
from klio_dagster.engine.inputs import Values, one_line
from klio_dagster.engine.plain import pictures, plain
from klio_dagster.engine.transforms import BoundTransform
from klio_dagster.errors import CheckFailedError, KlioError
from klio_dagster.store.layout import output_path
from klio_dagster.store.objects import ObjectStore

Begin = Callable[[str, PartSpec], None]
"""Told the asset and the part (itself or one of its steps) that is computed for it next."""
Write = Callable[[Receipt], None]


@dataclass(frozen=True, slots=True)
class Done:
    """An asset was computed and stored."""

    data: Dumped
    result: Result
    uri: str
    checks: Sequence[Evaluation]


@dataclass(frozen=True, slots=True)
class Failed:
    """An asset was not stored; checks are those that were looked at."""

    failure: Failure
    checks: Sequence[Evaluation] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """A stored output was checked again."""

    checks: Sequence[Evaluation]


def blocked_by(
    failed: str, chain: Mapping[str, PartSpec], waiting: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """The assets that cannot be computed because one failed, each with what it depends on.

    Args:
        failed: the asset that failed.
        chain: parts by name.
        waiting: assets not computed yet, upstream first.
    """
    lost = {failed}
    for name in waiting:
        cause = next((dep for dep in chain[name].inputs if dep in lost), None)
        if cause is not None:
            lost.add(name)
            yield name, cause


class EntityChain:
    """Computes tasks of one manifest, one after the other, in this process.

    Args:
        manifest: the run's head.
        store: where outputs lie.
        write: makes a receipt durable.
        begin: told before each computation, so that a supervisor knows what was running.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        manifest: Manifest,
        store: ObjectStore,
        write: Write,
        begin: Begin,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._manifest = manifest
        self._store = store
        self._write = write
        self._begin = begin
        self._clock = clock
        self._chain = {part.name: part for part in manifest.chain}
        self._codecs: dict[str, OutputCodec] = {
            part.name: codec_from_json(part.codec)
            for part in manifest.chain
            if part.codec is not None
        }
        self._transforms: dict[str, BoundTransform] = {}
        self._checks: dict[str, list[BoundCheck]] = {}

    def import_transforms(self) -> None:
        """Import what the chain needs, so that no entity's time pays for it.

        A transform that cannot be imported is left to fail where it is computed.
        """
        for name in self._chain:
            try:
                self._transform(name)
                self._bound_checks(name)
            except Exception:  # noqa: S112 - reported by the first entity that needs it
                continue

    def run(self, task: Task) -> None:
        """Compute the task's assets; every one of them has a receipt afterwards.

        Raises:
            StoreUnavailableError: a receipt could not be written.
        """
        values = Values(task, self._store, self._chain, self._codecs)
        versions = dict(task.versions)
        blocked: dict[str, str] = {}
        for position, name in enumerate(task.run):
            if name in blocked:
                self._write(
                    self._receipt(
                        task,
                        name,
                        Failed(Failure.blocked_by(f"'{blocked[name]}'")),
                        {},
                        self._clock(),
                    )
                )
                continue
            started, cpu = self._clock(), time.process_time()
            attempt = self._look if self._chain[name].is_looked_at else self._attempt
            outcome = attempt(task, name, values)
            receipt = self._receipt(
                task, name, outcome, versions, started, time.process_time() - cpu
            )
            self._write(receipt)
            if isinstance(outcome, Failed):
                blocked |= blocked_by(name, self._chain, task.run[position + 1 :])
            else:
                versions[name] = receipt.data_version

    def _attempt(self, task: Task, name: str, values: Values) -> Done | Failed:
        """Compute and store one asset. User code runs here and nowhere else."""
        try:
            for step in self._steps(name, values):
                self._begin(name, step)
                values.keep_step(step.name, self._transform(step.name)(values, self._store))
            part = self._chain[name]
            self._begin(name, part)
            value = self._transform(name)(values, self._store)
            result = value if isinstance(value, Result) else Result(value)
            dumped = self._codecs[name].dump(result.value)
            path = output_path(part.key, task.entity, self._codecs[name].suffix)
            metadata, figures = plain(result.metadata), pictures(result.figures)
            checks = [*dumped.evaluations, *self._evaluated(name, dumped, task.entity, path)]
            reject(checks, f"asset '{name}'")
            self._store.put(path, dumped.data)
        except CheckFailedError as error:
            return Failed(
                _failure(error), [e for e in error.evaluations if isinstance(e, Evaluation)]
            )
        except (Exception, SystemExit) as error:  # the only broad except: user code ends here
            return Failed(_failure(error))
        values.keep_output(name, dumped.value, dumped.data)
        return Done(dumped, Result(None, metadata, figures), self._store.uri(path), checks)

    def _look(self, task: Task, name: str, values: Values) -> Looked | Failed:
        """Check the output that is stored; user code runs in its checks."""
        codec, part = self._codecs[name], self._chain[name]
        try:
            self._begin(name, part)
            value = values.input(name)
            found: Sequence[Evaluation] = ()
            if isinstance(codec, PromisingCodec) and codec.promises:
                found = self._promised(codec, value)
            entity = Entity(task.entity)
            return Looked([*found, *(check(value, entity) for check in self._bound_checks(name))])
        except (Exception, SystemExit) as error:  # it cannot be loaded, or a check ends us
            return Failed(_failure(error))

    def _promised(self, codec: OutputCodec, value: object) -> Sequence[Evaluation]:
        """What a codec's own checks say of a value."""
        try:
            return codec.dump(value).evaluations
        except CheckFailedError as error:
            return [each for each in error.evaluations if isinstance(each, Evaluation)]

    def _evaluated(self, name: str, dumped: Dumped, entity: str, path: str) -> Sequence[Evaluation]:
        """What the user's checks say of a value, which they get as a consumer gets it."""
        checks = self._bound_checks(name)
        if not checks:
            return ()
        value = dumped.value
        if value is RELOAD:
            value = self._codecs[name].load(dumped.data, where=path)
        return [check(value, Entity(entity)) for check in checks]

    def _steps(self, name: str, values: Values) -> list[PartSpec]:
        """The steps an asset needs that were not computed yet, upstream first."""

        def open_steps(part: str) -> list[str]:
            deps = [self._chain.get(dep) for dep in self._chain[part].deps.values()]
            return [dep.name for dep in deps if dep and dep.is_step and not values.has(dep.name)]

        needed = steps_below(name, open_steps)
        return [part for part in self._manifest.chain if part.name in needed]

    def _transform(self, name: str) -> BoundTransform:
        if name not in self._transforms:
            self._transforms[name] = BoundTransform.of(self._chain[name])
        return self._transforms[name]

    def _bound_checks(self, name: str) -> Sequence[BoundCheck]:
        if name not in self._checks:
            self._checks[name] = [BoundCheck.of(check) for check in self._chain[name].checks]
        return self._checks[name]

    def _receipt(
        self,
        task: Task,
        name: str,
        outcome: Done | Looked | Failed,
        versions: Mapping[str, str],
        started: float,
        cpu_s: float = 0.0,
    ) -> Receipt:
        part = self._chain[name]
        common = Receipt(
            run=self._manifest.run,
            attempt=self._manifest.attempt,
            entity=task.entity,
            asset=part.key,
            code_version=part.code_version,
            inputs={key: versions[dep] for dep, key in part.inputs.items() if dep in versions},
            started_at=round(started, 6),
            finished_at=round(self._clock(), 6),
            cpu_s=round(cpu_s, 6),
            checks=tuple(outcome.checks),
        )
        if isinstance(outcome, Failed):
            return replace(common, failure=outcome.failure)
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


def failed_receipt(
    manifest: Manifest,
    task: Task,
    part: PartSpec,
    failure: Failure,
    started_at: float,
    finished_at: float,
) -> Receipt:
    """The receipt of an attempt whose worker could not write one any more."""
    return Receipt(
        run=manifest.run,
        attempt=manifest.attempt,
        entity=task.entity,
        asset=part.key,
        code_version=part.code_version,
        inputs={
            key: version
            for dep, key in part.inputs.items()
            if (version := task.versions.get(dep)) is not None
        },
        started_at=round(started_at, 6),
        finished_at=round(finished_at, 6),
        failure=failure,
    )


def _failure(error: BaseException) -> Failure:
    if isinstance(error, SystemExit):
        return Failure("SystemExit", f"the transform called sys.exit({error.code!r})")
    # Of a check the message says all; where it was noticed is our affair.
    told = not isinstance(error, CheckFailedError)
    text = "".join(traceback.format_exception(error)) if told else ""
    transient = isinstance(error, KlioError) and error.transient
    return Failure(type(error).__name__, one_line(error), text, transient)
