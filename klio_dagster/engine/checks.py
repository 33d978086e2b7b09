"""A user's checks in a worker: imported once, called with a value, answered with evaluations."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from klio_dagster.core.check import CheckResult, Evaluation, Severity
from klio_dagster.core.entity import Entity
from klio_dagster.core.output import Json
from klio_dagster.core.place import place_of
from klio_dagster.core.reference import Transform, resolve, signature_of
from klio_dagster.engine.inputs import one_line
from klio_dagster.engine.plain import plain
from klio_dagster.errors import EntityError

_MOST_TRACEBACK_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class BoundCheck:
    """A check with what it needs to be called for any entity.

    Args:
        name: of the check.
        severity: what becomes of a value that does not pass.
        function: the user's.
        params: its keyword arguments.
        takes_entity: it has a parameter `entity`.
    """

    name: str
    severity: Severity
    function: Transform
    params: Mapping[str, Json]
    takes_entity: bool

    @classmethod
    def of(cls, check: Mapping[str, Json]) -> "BoundCheck":
        """The check that a manifest names, imported.

        Raises:
            ConfigError: it cannot be imported.
        """
        name = str(check["name"])
        function = resolve(str(check["function"]))
        signature = signature_of(function, f"check '{name}'")
        return cls(
            name=name,
            severity=cast("Severity", check["severity"]),
            function=function,
            params=cast("Mapping[str, Json]", check["params"]),
            takes_entity="entity" in signature.call or signature.takes_anything,
        )

    def __call__(self, value: object, entity: Entity) -> Evaluation:
        """What the check says of a value; one that raises says that it did not pass."""
        named: dict[str, Any] = {"entity": entity} if self.takes_entity else {}
        try:
            result = _result(self.function(value, **named, **self.params), self.name)
            return self._evaluation(result, plain(result.metadata, f"check '{self.name}'"))
        except Exception as error:  # noqa: BLE001 - a `warn` must not fail what it only looks at
            said = f"it raised {type(error).__name__}: {one_line(error)}"
            place = place_of(error, {self.function.__module__.partition(".")[0]})
            said += f" ({place})" if place else ""
            text = "".join(traceback.format_exception(error))[-_MOST_TRACEBACK_CHARACTERS:]
            return self._evaluation(CheckResult(False, description=said), {"traceback": text})

    def _evaluation(self, result: CheckResult, metadata: Mapping[str, Any]) -> Evaluation:
        return Evaluation(
            check=self.name,
            passed=bool(result.passed),
            severity=self.severity,
            description=" ".join(result.description.split()),
            metadata=metadata,
        )


def _result(answer: object, name: str) -> CheckResult:
    """What a check function returned.

    Raises:
        EntityError: neither a truth value nor a result.
    """
    if isinstance(answer, CheckResult):
        return answer
    # numpy's own truth values are none of Python's.
    truth: object = answer.item() if hasattr(answer, "item") else answer  # pyright: ignore
    if isinstance(truth, bool):
        return CheckResult(truth)
    raise EntityError(
        f"it returned {type(answer).__name__}",
        where=f"check '{name}'",
        fix="return True, False or a CheckResult",
    )
