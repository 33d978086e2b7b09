"""`EntityAsset` and `EntityStep`: what a user declares, refused at construction when wrong."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from klio_dagster.core.check import Check, check_names, check_params
from klio_dagster.core.ids import MAX_ASSET_BYTES
from klio_dagster.core.job import UpstreamTrigger
from klio_dagster.core.output import Json, OutputCodec, PromisingCodec
from klio_dagster.core.reference import (
    Signature,
    Transform,
    reference_of,
    signature_of,
    source_annotation,
)
from klio_dagster.core.size import bytes_of
from klio_dagster.core.wording import close_to
from klio_dagster.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_MOST_TOGETHER = 1000
_BOUND_BY_US = frozenset({"entity", "source"})
_BOUND_BY_US_IN_LISTS = frozenset({"entities", "source"})

Transient = type[Exception] | Callable[[Exception], bool]
"""An exception that may not come again: its class, or a function that knows it."""


@dataclass(frozen=True, slots=True)
class Dep:
    """One thing an asset depends on.

    Args:
        name: a name of the group, or the key path of an asset outside it, joined by `/`.
        is_outside: it is not of this group.
        definition: Dagster's definition of the outside asset, where the user gave one.
    """

    name: str
    is_outside: bool = False
    definition: object = field(default=None, compare=False, repr=False)

    @property
    def parameter(self) -> str:
        """The parameter of the transform that receives it: the last part of the key."""
        return self.name.rpartition("/")[2]


def _no_params() -> dict[str, Json]:
    return {}


@dataclass(frozen=True)
class EntityStep:
    """A named intermediate of the chain: computed for its consumers, never stored, not an asset.

    Args:
        name: what the consumers' `deps` and parameters call it.
        transform: a function, or a class that is set up once a worker (`setup()` if it has one)
            and then called; parameters are bound by name: `entity`, `source`, deps, params.
        source: pattern of the external input, `tracks/{entity}.flac`, relative to the store.
        deps: names of the group, or a Dagster asset key or definition for an asset outside it.
        params: JSON keyword arguments of the transform; part of the code version.
        timeout_s: seconds after which one computation fails, > 0.
        code_version: stands for the transform's source instead of the hash of its syntax tree;
            params and codec still count.

    Raises:
        ConfigError: something of this does not fit together.
    """

    name: str
    transform: Transform
    source: str | None = field(default=None, kw_only=True)
    deps: Sequence[object] = field(default=(), kw_only=True)
    params: Mapping[str, Json] = field(default_factory=_no_params, kw_only=True)
    timeout_s: float = field(default=600.0, kw_only=True)
    code_version: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name, self.where)
        if isinstance(self.deps, str):
            raise ConfigError("deps is a text", where=self.where, fix=f"write deps=['{self.deps}']")
        object.__setattr__(self, "deps", tuple(self.deps))
        for dep in self.dependencies:
            if dep.parameter in _BOUND_BY_US | self.bound_by_us:
                raise ConfigError(
                    f"dependency '{dep.name}' has the name of the parameter '{dep.parameter}'",
                    where=self.where,
                    fix="give that asset another name",
                )
        if len({dep.parameter for dep in self.dependencies}) < len(self.deps):
            raise ConfigError(
                "two dependencies have the same name", where=self.where, fix="name each once"
            )
        if not self.timeout_s > 0:
            raise ConfigError(
                f"timeout_s is {self.timeout_s}", where=self.where, fix="use seconds above 0"
            )
        check_params(self.params, self.where)
        reference_of(self.transform, self.where)
        self._check_parameters(signature_of(self.transform, self.where))

    @property
    def where(self) -> str:
        """How messages name this."""
        return f"{'step' if type(self) is EntityStep else 'asset'} '{self.name}'"

    @property
    def bound_by_us(self) -> frozenset[str]:
        """Parameters of the transform that are neither dependencies nor params."""
        return _BOUND_BY_US

    @property
    def dependencies(self) -> tuple[Dep, ...]:
        """The deps as values."""
        return tuple(_dependency(dep, self.where) for dep in self.deps)

    def _check_parameters(self, signature: Signature) -> None:
        inputs = {dep.parameter for dep in self.dependencies} | self.bound_by_us
        if self.source is not None and "source" not in signature.call:
            raise ConfigError(
                "it has a source but the transform has no parameter 'source'",
                where=self.where,
                fix="add `source: AudioClip` (or bytes, SourceFile) to the transform",
            )
        if self.source is not None and source_annotation(self.transform) is None:
            raise ConfigError(
                "parameter 'source' of the transform has no annotation",
                where=self.where,
                fix="annotate it with AudioClip, bytes or SourceFile: that says how it is read",
            )
        if self.source is None and "source" in signature.call:
            raise ConfigError(
                "the transform has a parameter 'source' but the asset has no source",
                where=self.where,
                fix="give it source='folder/{entity}.flac'",
            )
        for name in self.params:
            if name in inputs:
                raise ConfigError(
                    f"parameter '{name}' is also an input", where=self.where, fix="rename one"
                )
            given = (name in signature.call) + (name in signature.setup)
            if given == 2:
                raise ConfigError(
                    f"parameter '{name}' is in both __init__ and __call__",
                    where=self.where,
                    fix="keep it in one of them",
                )
            if given == 0 and not signature.takes_anything:
                raise ConfigError(
                    f"the transform has no parameter '{name}'",
                    where=self.where,
                    fix=f"it takes {', '.join([*signature.setup, *signature.call]) or 'none'}",
                )
        for name, has_default in signature.call.items():
            if not has_default and name not in inputs and name not in self.params:
                raise ConfigError(
                    f"parameter '{name}' of the transform has no input",
                    where=self.where,
                    fix=self._meant(name, signature)
                    or "name it in deps or give it a value in params",
                )
        for name, has_default in signature.setup.items():
            if not has_default and name not in self.params:
                raise ConfigError(
                    f"parameter '{name}' of the constructor has no value",
                    where=self.where,
                    fix="give it one in params",
                )

    def _meant(self, parameter: str, signature: Signature) -> str | None:
        """Which dependency was to be the input of a parameter, if one looks like its name."""
        unbound = {
            d.parameter: d.name for d in self.dependencies if d.parameter not in signature.call
        }
        close = close_to(parameter, unbound)
        return f"deps has '{unbound[close]}': did you mean '{parameter}'?" if close else None


@dataclass(frozen=True)
class EntityAsset(EntityStep):
    """One output per entity: a transform, how its value is stored, and what it depends on.

    Args:
        output: the codec that stores the value: `Audio`, `Array`, `Table` or `Json`.
        checks: what the value must be, looked at before it is stored.
        retries: how often it is tried again when it failed with a transient error, >= 0. The
            waits grow: at random up to 1 s, 2 s, 4 s and so on, at most 30 s.
        transient: the exceptions that are worth another try, as classes or as a function that
            is given the exception; broken connections, time-outs and the like when None.
        memory: what its worker may hold, `"2GiB"` or a number of bytes; no limit when None.
        batch_size: how many entities one call of the transform gets, 1 to 1000. Above 1 it is
            given lists (`entities`, `source` and the deps; params as they are) and returns a list.
        upstream: the job that makes a missing input: a message whose input is not there asks for
            it once, and waits.
        description: shown in the UI; the transform's docstring when None.
        kinds: chips on the asset's node, `flac` for instance.
        owners: `team:name` or an e-mail address.
        tags: key-value tags of the asset.
        group_name: the asset's group in the UI.

    The other arguments are those of `EntityStep`.

    Raises:
        ConfigError: something of this does not fit together.
    """

    output: OutputCodec = field(kw_only=True)
    checks: Sequence[Check] = field(default=(), kw_only=True)
    retries: int = field(default=2, kw_only=True)
    transient: Transient | Sequence[Transient] | None = field(default=None, kw_only=True)
    memory: str | int | None = field(default="2GiB", kw_only=True)
    batch_size: int = field(default=1, kw_only=True)
    upstream: UpstreamTrigger | None = field(default=None, kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    kinds: Sequence[str] = field(default=(), kw_only=True)
    owners: Sequence[str] = field(default=(), kw_only=True)
    tags: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)
    group_name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_count("retries", self.retries, 0, self.where)
        _check_count("batch_size", self.batch_size, 1, self.where, most=_MOST_TOGETHER)
        if self.memory is not None:
            bytes_of(self.memory, self.where)
        for each in self.transient_errors or ():
            _check_transient(each, self.where)
        super().__post_init__()
        output = cast("object", self.output)
        if isinstance(output, type) or not isinstance(output, OutputCodec):
            raise ConfigError(
                f"output is {self.output!r}, not an output codec",
                where=self.where,
                fix="use Audio(), Array(), Table() or Json()",
            )
        if isinstance(cast("object", self.checks), Check):
            raise ConfigError("checks is one check", where=self.where, fix="write checks=[...]")
        object.__setattr__(self, "checks", tuple(self.checks))
        promises = output.promises if isinstance(output, PromisingCodec) else ()
        check_names(self.checks, [promise.name for promise in promises], self.where)

    @property
    def bound_by_us(self) -> frozenset[str]:
        """Parameters of the transform that are neither dependencies nor params."""
        return _BOUND_BY_US_IN_LISTS if self.batch_size > 1 else _BOUND_BY_US

    @property
    def memory_bytes(self) -> int | None:
        """What its worker may hold; None for no limit."""
        return None if self.memory is None else bytes_of(self.memory, self.where)

    @property
    def transient_errors(self) -> Sequence[Transient] | None:
        """`transient` as a sequence; None for what is transient by default."""
        given: object = self.transient
        if given is None:
            return None
        if isinstance(given, Sequence):
            return cast("Sequence[Transient]", given)
        return (given,)

    def _check_parameters(self, signature: Signature) -> None:
        if self.batch_size > 1 and "entity" in signature.call:
            raise ConfigError(
                f"the transform has a parameter 'entity', but gets {self.batch_size} at once",
                where=self.where,
                fix="call it 'entities': with batch_size it is given lists and returns a list",
            )
        super()._check_parameters(signature)


def _dependency(dep: object, where: str) -> Dep:
    if isinstance(dep, str):
        return Dep(dep)
    key = getattr(dep, "key", dep)  # a definition or a spec has a key; a key has a path
    path = getattr(key, "path", None)
    if not isinstance(path, Sequence) or not path:
        raise ConfigError(
            f"dependency {dep!r} is neither a name nor an asset",
            where=where,
            fix="give a name of this group, or a dg.AssetKey or definition from outside it",
        )
    parts = cast("Sequence[str]", path)
    return Dep("/".join(parts), is_outside=True, definition=None if key is dep else dep)


def _check_name(name: str, where: str) -> None:
    if not _NAME.match(name) or len(name) > MAX_ASSET_BYTES or name in _BOUND_BY_US:
        raise ConfigError(
            f"'{name}' cannot be a name",
            where=where,
            fix=f"use letters, digits and _, starting with a letter, at most {MAX_ASSET_BYTES},"
            " and neither 'entity' nor 'source'",
        )


def _check_count(name: str, count: object, least: int, where: str, most: int | None = None) -> None:
    is_whole = isinstance(count, int) and not isinstance(count, bool)
    if not is_whole or not least <= cast("int", count) <= (most or math.inf):
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        raise ConfigError(f"{name} is {count!r}", where=where, fix=f"use a whole number, {bounds}")


def _check_transient(each: object, where: str) -> None:
    is_class = isinstance(each, type)
    if not callable(each) or (is_class and not issubclass(each, Exception)):
        raise ConfigError(
            f"transient has {each!r} in it",
            where=where,
            fix="use classes of exceptions, or a function that is given the exception",
        )
    reference_of(each, where, "transient")
