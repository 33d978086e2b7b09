"""`Check`, `CheckResult` and `Evaluation`: what an output must be, and what looking at it gave."""

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from klio_dagster.core.reference import Transform, reference_of, signature_of
from klio_dagster.core.values import Json, Scalar
from klio_dagster.errors import CheckFailedError, ConfigError

Severity = Literal["blocking", "warn"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_MOST_NAME_CHARACTERS = 80


def _no_metadata() -> dict[str, Scalar]:
    return {}


def _no_params() -> dict[str, Json]:
    return {}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check function may return instead of a bare truth value.

    Args:
        passed: the output is as it must be.
        metadata: name to text, number or truth value, shown beside the result.
        description: one line: what was found.
    """

    passed: bool
    metadata: Mapping[str, Scalar] = field(default_factory=_no_metadata)
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One check of one output.

    Args:
        check: name of the check.
        passed: the output is as it must be.
        severity: `blocking`: an output that did not pass is not stored; `warn`: it is, flagged.
        description: one line: what was found; empty where there is nothing to say.
        metadata: shown beside it.
    """

    check: str
    passed: bool
    severity: Severity
    description: str = ""
    metadata: Mapping[str, Scalar] = field(default_factory=_no_metadata)

    @property
    def rejects(self) -> bool:
        """The output must not be stored."""
        return not self.passed and self.severity == "blocking"

    def to_json(self) -> dict[str, Any]:
        """As it stands in a receipt."""
        fields: dict[str, Any] = {
            "check": self.check,
            "passed": self.passed,
            "severity": self.severity,
        }
        if self.description:
            fields["description"] = self.description
        if self.metadata:
            fields["metadata"] = dict(self.metadata)
        return fields

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "failed"
        return f"check '{self.check}' {verdict}" + (
            f": {self.description}" if self.description else ""
        )


@dataclass(frozen=True, slots=True)
class Check:
    """A promise about an asset's output, looked at in the worker before the output is stored.

    The function's first parameter, whatever its name, receives the value as a consumer of the asset
    gets it; it must not change it. A parameter `entity` receives the `Entity`, the others come from
    `params`. It returns a truth value or a `CheckResult`; one that raises has not passed.

    Args:
        function: a function of a module, where a worker can import it.
        name: of the check, unique within the asset; the function's name when empty.
        severity: `blocking`: an output that does not pass is not stored, and the asset fails for
            that entity; `warn`: it is stored, and flagged.
        params: JSON keyword arguments of the function.
        description: shown in the UI; the function's docstring when empty.

    Raises:
        ConfigError: something of this does not fit together.
    """

    function: Transform
    name: str = field(default="", kw_only=True)
    severity: Severity = field(default="blocking", kw_only=True)
    params: Mapping[str, Json] = field(default_factory=_no_params, kw_only=True)
    description: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.function) or isinstance(self.function, type):
            raise ConfigError(
                f"{self.function!r} is not a function", where="Check", fix="give it a function"
            )
        reference = reference_of(self.function, "Check")
        if not self.name:
            object.__setattr__(self, "name", self.function.__name__)
        if not _NAME.match(self.name) or len(self.name) > _MOST_NAME_CHARACTERS:
            raise ConfigError(
                f"'{self.name}' cannot be a name",
                where=f"check {reference}",
                fix=f"use letters, digits and _, starting with a letter, at most"
                f" {_MOST_NAME_CHARACTERS}",
            )
        check_severity(self.severity, self.where)
        if not self.description:
            summary = (inspect.getdoc(self.function) or "").partition("\n\n")[0]
            object.__setattr__(self, "description", " ".join(summary.split()))
        check_params(self.params, self.where)
        self._check_parameters()

    @property
    def where(self) -> str:
        """How messages name this."""
        return f"check '{self.name}'"

    def to_json(self) -> dict[str, Json]:
        """As it stands in a manifest."""
        return {
            "name": self.name,
            "function": reference_of(self.function),
            "severity": self.severity,
            "params": dict(self.params),
        }

    def _check_parameters(self) -> None:
        signature = signature_of(self.function, self.where)
        value, *others = [*signature.call] or [""]
        if value in ("", "entity"):
            raise ConfigError(
                "the function has no parameter for the value",
                where=self.where,
                fix="let its first parameter take the value: `def loud(clip: AudioClip) -> bool`",
            )
        for name in self.params:
            if name in (value, "entity"):
                raise ConfigError(
                    f"parameter '{name}' is not for params", where=self.where, fix="rename it"
                )
            if name not in others and not signature.takes_anything:
                raise ConfigError(
                    f"the function has no parameter '{name}'",
                    where=self.where,
                    fix=f"it takes {', '.join(others) or 'none beside the value'}",
                )
        for name in others:
            if name != "entity" and not signature.call[name] and name not in self.params:
                raise ConfigError(
                    f"parameter '{name}' of the function has no value",
                    where=self.where,
                    fix="give it one in params",
                )


def check_severity(severity: object, where: str) -> None:
    """Refuse what is no severity.

    Raises:
        ConfigError: it is none.
    """
    if severity not in get_args(Severity):
        raise ConfigError(f"severity is {severity!r}", where=where, fix="use 'blocking' or 'warn'")


def check_params(params: Mapping[str, Json], where: str) -> None:
    """Refuse parameters that would not arrive in a worker as they are.

    Raises:
        ConfigError: they are not plain JSON.
    """
    try:
        same = json.loads(json.dumps(dict(params), allow_nan=False)) == dict(params)
    except (TypeError, ValueError):
        same = False
    if not same:
        raise ConfigError(
            "params are not plain JSON", where=where, fix="use text, numbers, lists and dicts"
        )


def check_names(checks: Sequence[object], taken: Sequence[str], where: str) -> None:
    """Refuse checks that are none, or have the name of another.

    Args:
        checks: as the user gave them.
        taken: names of the checks that the asset has anyway.
        where: whose they are.

    Raises:
        ConfigError: one is wrong.
    """
    names = list(taken)
    for check in checks:
        if not isinstance(check, Check):
            called = getattr(check, "__name__", None)
            raise ConfigError(
                f"{called or repr(check)} is not a check",
                where=where,
                fix=f"write Check({called})" if called else "write Check(function)",
            )
        if check.name in names:
            raise ConfigError(
                f"two checks have the name '{check.name}'",
                where=where,
                fix="give one of them another name=",
            )
        names.append(check.name)


def evaluation_from_json(fields: Mapping[str, Any]) -> Evaluation:
    """The evaluation that a receipt's `to_json` wrote down.

    Raises:
        TypeError: it is not one.
    """
    return Evaluation(**cast("dict[str, Any]", fields))


def reject(evaluations: Sequence[Evaluation], where: str) -> None:
    """Refuse an output that a blocking check did not pass.

    Args:
        evaluations: of all its checks.
        where: whose output it is.

    Raises:
        CheckFailedError: a blocking check did not pass.
    """
    failed = [str(evaluation) for evaluation in evaluations if evaluation.rejects]
    if failed:
        raise CheckFailedError(
            "; ".join(failed),
            where=where,
            fix="so it is not stored: mend what it is made from, or the check if it is right",
            evaluations=evaluations,
        )
