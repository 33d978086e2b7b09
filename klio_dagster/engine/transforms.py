"""Transforms of a worker: imported once, classes set up once, called with inputs by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from klio_dagster.core.entity import Entity
from klio_dagster.core.manifest import PartSpec
from klio_dagster.core.reference import Signature, Transform, resolve, signature_of
from klio_dagster.engine.inputs import ReadSource, Values, source_reader
from klio_dagster.store.objects import ObjectStore


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
    _instance: Transform | None = None

    @classmethod
    def of(cls, part: PartSpec) -> "BoundTransform":
        """The transform a part names, imported.

        Raises:
            ConfigError: it cannot be imported, or its source's annotation says nothing.
        """
        where = f"asset '{part.name}'" if not part.is_step else f"step '{part.name}'"
        transform = resolve(part.transform)
        reader = source_reader(transform, where) if part.source is not None else None
        return cls(part, transform, signature_of(transform, where), reader)

    def __call__(self, values: Values, store: ObjectStore) -> object:
        """The transform's value for one entity; whatever the user's code raises passes through."""
        call = self._instance or self._set_up()
        return call(**self._arguments(values, store))

    def _set_up(self) -> Transform:
        instance = self.transform
        if isinstance(instance, type):
            setup = {n: v for n, v in self.part.params.items() if n in self._signature.setup}
            made: Any = instance(**setup)
            if callable(getattr(made, "setup", None)):
                made.setup()
            instance = made
        self._instance = instance
        return instance

    def _arguments(self, values: Values, store: ObjectStore) -> Mapping[str, object]:
        signature, part = self._signature, self.part
        arguments: dict[str, object] = {
            name: value
            for name, value in part.params.items()
            if name in signature.call or name not in signature.setup
        }
        if "entity" in signature.call or signature.takes_anything:
            arguments["entity"] = Entity(values.task.entity)
        if self._read is not None and part.source is not None:
            arguments["source"] = self._read(store, values.source(part.source))
        for parameter, name in part.deps.items():
            # A dependency the transform does not name only counts for versions and order.
            if values.is_loadable(name) and (
                parameter in signature.call or signature.takes_anything
            ):
                arguments[parameter] = values.input(name)
        return arguments
