"""One attempt at an asset: inputs, the transform, its value stored. User code runs here only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from klio_dagster.codecs.registry import codec_from_json
from klio_dagster.core.check import Evaluation, reject
from klio_dagster.core.entity import Entity, Result
from klio_dagster.core.graph import steps_below
from klio_dagster.core.manifest import Manifest, PartSpec, Task
from klio_dagster.core.output import RELOAD, Dumped, OutputCodec, PromisingCodec
from klio_dagster.engine.checks import BoundCheck
from klio_dagster.engine.inputs import Values
from klio_dagster.engine.outcome import Done, Failed, FailedTogether, Looked, Outcome, failed
from klio_dagster.engine.plain import pictures, plain
from klio_dagster.engine.retry import IsTransient, transient_of
from klio_dagster.engine.transforms import BoundTransform, SetUp
from klio_dagster.errors import (
    CheckFailedError,
    OutputRefusedError,
    StoreForbiddenError,
    StoreFullError,
    StoreLoginError,
)
from klio_dagster.store.layout import output_path
from klio_dagster.store.objects import ObjectStore

T = TypeVar("T")


@dataclass(slots=True)  # not frozen: that takes longer, and there is one for each computation
class Beginning:
    """What is computed next.

    Args:
        positions: of the entities in the group that was given to the chain.
        asset: name of the asset.
        part: the asset itself or one of its steps.
        timeout_s: how long that may take, for all of them.
        started_at: seconds since the epoch.
        earlier: errors of the attempts before.
    """

    positions: Sequence[int]
    asset: str
    part: str
    timeout_s: float
    started_at: float
    earlier: Sequence[str] = ()


Begin = Callable[[Beginning], None]
"""Told before each computation, so that a supervisor knows what was running."""


@dataclass(slots=True)
class EntityInChain:
    """One entity on its way through the chain."""

    position: int
    task: Task
    values: Values
    versions: dict[str, str]
    blocked: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class Attempt:
    """An asset of some entities, attempted in one call."""

    entities: Sequence[EntityInChain]
    earlier: tuple[str, ...]
    not_before: float = 0.0
    started_at: float = 0.0
    cpu_s: float = 0.0
    notes: tuple[str, ...] = ()


class PartComputer:
    """Computes and stores the parts of one manifest's chain.

    Args:
        manifest: the run's head.
        store: where outputs lie.
        begin: told before each computation.
        set_up: told when a class was set up.
    """

    def __init__(self, manifest: Manifest, store: ObjectStore, begin: Begin, set_up: SetUp) -> None:
        self._store = store
        self._begin = begin
        self._set_up = set_up
        self._parts = manifest.chain
        self._chain = {part.name: part for part in manifest.chain}
        modules = (part.transform.partition(":")[0] for part in manifest.chain)
        self._packages = frozenset(module.partition(".")[0] for module in modules)
        self._codecs: dict[str, OutputCodec] = {
            part.name: codec_from_json(part.codec)
            for part in manifest.chain
            if part.codec is not None
        }
        patterns = [part.source for part in manifest.chain if part.source is not None]
        self._shared = {pattern for pattern in patterns if patterns.count(pattern) > 1}
        self._transforms: dict[str, BoundTransform] = {}
        self._transient: dict[str, IsTransient] = {}
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

    def entity(self, position: int, task: Task) -> "EntityInChain":
        """An entity at the beginning of its way."""
        values = Values(task, self._store, self._chain, self._codecs, self._shared)
        return EntityInChain(position, task, values, dict(task.versions))

    def outcomes(self, name: str, attempt: Attempt) -> Sequence[Outcome]:
        """Compute and store an asset of some entities: an outcome for each, in their order.

        Raises:
            OutputRefusedError: the store is full, or does not let us write.
            StoreLoginError: our credentials have expired.
        """
        if self._chain[name].is_looked_at:
            return [
                self._guarded(name, lambda e=each: self._look(name, e, attempt))
                for each in attempt.entities
            ]
        if self._chain[name].batch_size > 1:
            return self._outcomes_together(name, attempt)
        (entity,) = attempt.entities
        return [self._guarded(name, lambda: self._compute(name, entity, attempt))]

    def _outcomes_together(self, name: str, attempt: Attempt) -> Sequence[Outcome]:
        """The same with one call of the transform; what is wrong with one entity stops only it."""
        found: dict[int, Outcome] = {}
        ready: list[EntityInChain] = []
        for each in attempt.entities:
            stopped = self._guarded(name, lambda e=each: self._compute_steps(name, e, attempt))
            if stopped is None:
                ready.append(each)
            else:
                found[each.position] = stopped
        if ready:
            self._tell(self._chain[name], name, attempt, ready)
        inputs: dict[int, Mapping[str, object]] = {}
        for each in ready:
            given = self._guarded(name, lambda e=each: self._given(name, e))
            if isinstance(given, Failed):
                found[each.position] = given
            else:
                inputs[each.position] = given
        together = [each for each in ready if each.position in inputs]
        if together:
            found |= self._stored_together(name, together, list(inputs.values()))
        return [found[each.position] for each in attempt.entities]

    def _stored_together(
        self, name: str, entities: Sequence[EntityInChain], inputs: Sequence[Mapping[str, object]]
    ) -> dict[int, Outcome]:
        values = self._guarded(name, lambda: self._transform(name).of_all(inputs))
        if isinstance(values, Failed):
            outcome = values if len(entities) == 1 else FailedTogether(values.failure)
            return dict.fromkeys((each.position for each in entities), outcome)
        return {
            each.position: self._guarded(name, lambda e=each, v=value: self._stored(name, e, v))
            for each, value in zip(entities, values, strict=True)
        }

    def _guarded(self, name: str, compute: Callable[[], T]) -> T | Failed:
        """What it gives, or why it gives nothing. User code runs here and nowhere else.

        Raises:
            OutputRefusedError: the store is full, or does not let us write.
            StoreLoginError: our credentials have expired; no fault of the entity.
        """
        try:
            return compute()
        except (OutputRefusedError, StoreLoginError):  # the next entity would meet it, too
            raise
        except (Exception, SystemExit) as error:  # the only broad except: user code ends here
            caught = error
        try:
            is_transient = self._is_transient(name)(caught)
            return failed(caught, is_transient=is_transient, packages=self._packages)
        except Exception as error:  # the user's own function that knows transient errors
            return failed(error, is_transient=False, packages=self._packages)

    def _compute(self, name: str, entity: EntityInChain, attempt: Attempt) -> Done:
        self._compute_steps(name, entity, attempt)
        self._tell(self._chain[name], name, attempt, [entity])
        return self._stored(name, entity, self._transform(name)(entity.values))

    def _given(self, name: str, entity: EntityInChain) -> Mapping[str, object]:
        return self._transform(name).inputs(entity.values)

    def _compute_steps(self, name: str, entity: EntityInChain, attempt: Attempt) -> None:
        for step in self._steps(name, entity.values):
            self._tell(step, name, attempt, [entity])
            value = self._transform(step.name)(entity.values)
            entity.values.keep_step(step.name, value)

    def _stored(self, name: str, entity: EntityInChain, value: object) -> Done:
        """Store an asset's value, and keep it for its consumers."""
        part, codec = self._chain[name], self._codecs[name]
        result = value if isinstance(value, Result) else Result(value)
        dumped = codec.dump(result.value)
        path = output_path(part.key, entity.task.entity, codec.suffix)
        metadata, figures = plain(result.metadata), pictures(result.figures)
        checks = [*dumped.evaluations, *self._evaluated(name, dumped, entity.task.entity, path)]
        reject(checks, f"asset '{name}'")
        self._put(path, dumped.data)
        entity.values.keep_output(name, dumped.value, dumped.data)
        return Done(dumped, Result(None, metadata, figures), self._store.uri(path), checks)

    def _put(self, path: str, data: bytes) -> None:
        """Store an output.

        Raises:
            OutputRefusedError: the store is full, or does not let us write.
        """
        try:
            self._store.put(path, data)
        except (StoreFullError, StoreForbiddenError) as error:
            raise OutputRefusedError(error.what, error.where, error.fix) from error

    def _look(self, name: str, entity: EntityInChain, attempt: Attempt) -> Looked:
        """Check the output that is stored; user code runs in its checks."""
        codec = self._codecs[name]
        self._tell(self._chain[name], name, attempt, [entity])
        value = entity.values.input(name)
        promised: Sequence[Evaluation] = ()
        if isinstance(codec, PromisingCodec) and codec.promises:
            promised = _promised(codec, value)
        of = Entity(entity.task.entity)
        return Looked([*promised, *(check(value, of) for check in self._bound_checks(name))])

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
        return [part for part in self._parts if part.name in needed] if needed else []

    def _tell(
        self, part: PartSpec, asset: str, attempt: Attempt, entities: Sequence[EntityInChain]
    ) -> None:
        positions = [each.position for each in entities]
        limit_s = part.timeout_s * len(positions)
        self._begin(
            Beginning(positions, asset, part.name, limit_s, attempt.started_at, attempt.earlier)
        )

    def _transform(self, name: str) -> BoundTransform:
        if name not in self._transforms:
            self._transforms[name] = BoundTransform.of(self._chain[name], self._set_up)
        return self._transforms[name]

    def _bound_checks(self, name: str) -> Sequence[BoundCheck]:
        if name not in self._checks:
            self._checks[name] = [BoundCheck.of(check) for check in self._chain[name].checks]
        return self._checks[name]

    def _is_transient(self, name: str) -> IsTransient:
        if name not in self._transient:
            self._transient[name] = transient_of(self._chain[name])
        return self._transient[name]


def _promised(codec: OutputCodec, value: object) -> Sequence[Evaluation]:
    """What a codec's own checks say of a value."""
    try:
        return codec.dump(value).evaluations
    except CheckFailedError as error:
        return [each for each in error.evaluations if isinstance(each, Evaluation)]
