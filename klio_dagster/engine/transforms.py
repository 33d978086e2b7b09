"""Transforms of a worker: imported once, classes set up once, called with inputs by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from klio_dagster.core.entity import Entity
from klio_dagster.core.manifest import PartSpec
from klio_dagster.core.reference import Signature, Transform, resolve, signature_of
from klio_dagster.core.wording import counted
from klio_dagster.engine.inputs import ReadSource, Values, source_reader
from klio_dagster.errors import EntityError

SetUp = Callable[[], None]


@dataclass(slots=True)
class BoundTransform:
    """A part's transform with what it needs to be called for any entity.

    Args:
        part: the part of the chain.
        transform: the user's function or class.
    """

    part: PartSpec
    transform: Transform
    _signature: Signature
    _read: ReadSource | None
    _has_set_up: SetUp
    _instance: Transform | None = None

    @classmethod
    def of(cls, part: PartSpec, set_up: SetUp) -> "BoundTransform":
        """The transform a part names, imported.

        Args:
            part: of the chain.
            set_up: told when its class was set up.

        Raises:
            ConfigError: it cannot be imported, or its source's annotation says nothing.
        """
        where = f"asset '{part.name}'" if not part.is_step else f"step '{part.name}'"
        transform = resolve(part.transform)
        reader = None
        if part.source is not None:
            reader = source_reader(transform, where, of_each=part.batch_size > 1)
        return cls(part, transform, signature_of(transform, where), reader, set_up)

    def __call__(self, values: Values) -> object:
        """The transform's value for one entity; whatever the user's code raises passes through."""
        call = self._instance or self._set_up()
        return call(**self._params(), **self.inputs(values))

    def of_all(self, inputs: Sequence[Mapping[str, object]]) -> Sequence[object]:
        """The values of one call for several entities; what the user's code raises passes through.

        Args:
            inputs: of each entity, at least one.

        Raises:
            EntityError: the transform did not return as many values as it was given entities.
        """
        call = self._instance or self._set_up()
        lists = {name: [each[name] for each in inputs] for name in inputs[0]}
        values = call(**self._params(), **lists)
        entities = counted(len(inputs), "entity", "entities")
        if not isinstance(values, list | tuple):
            raise EntityError(
                f"the transform returned {type(values).__name__} for {entities}",
                where=f"asset '{self.part.name}'",
                fix="with batch_size it returns a list, one value for each",
            )
        found = cast("Sequence[object]", values)
        if len(found) != len(inputs):
            raise EntityError(
                f"the transform returned {counted(len(found), 'value')} for {entities}",
                where=f"asset '{self.part.name}'",
                fix="return a list with one value for each, in their order",
            )
        return found

    def inputs(self, values: Values) -> dict[str, object]:
        """What the transform is given of one entity, by parameter."""
        signature, part = self._signature, self.part
        given: dict[str, object] = {}
        entity = "entity" if part.batch_size == 1 else "entities"
        if entity in signature.call or signature.takes_anything:
            given[entity] = Entity(values.task.entity)
        if self._read is not None and part.source is not None:
            given["source"] = values.source(part.source, self._read)
        for parameter, name in part.deps.items():
            # A dependency the transform does not name only counts for versions and order.
            if values.is_loadable(name) and (
                parameter in signature.call or signature.takes_anything
            ):
                given[parameter] = values.input(name)
        return given

    def _set_up(self) -> Transform:
        instance = self.transform
        if isinstance(instance, type):
            setup = {n: v for n, v in self.part.params.items() if n in self._signature.setup}
            made: Any = instance(**setup)
            if callable(getattr(made, "setup", None)):
                made.setup()
            self._has_set_up()
            instance = made
        self._instance = instance
        return instance

    def _params(self) -> dict[str, object]:
        signature = self._signature
        return {
            name: value
            for name, value in self.part.params.items()
            if name in signature.call or name not in signature.setup
        }
