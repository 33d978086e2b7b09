"""`Json()`: small structured values as canonical JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from klio_dagster.codecs.refusal import refused_bytes, refused_value
from klio_dagster.core.output import Dumped
from klio_dagster.core.output import Json as JsonValue
from klio_dagster.errors import ConfigError, EntityError

_WHERE = "Json"
_WANTED = "a value JSON knows"
_DEEPEST = 100
_encode = json.JSONEncoder(
    sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":")
).encode


@dataclass(frozen=True, slots=True)
class Json:
    """Stores text, numbers, truth values, and lists and dicts of them as canonical JSON.

    Keys are sorted, so equal values give equal bytes. Consumers load it anew: tuples arrive as
    lists.

    Args:
        max_bytes: largest JSON text that is stored, >= 1.

    Raises:
        ConfigError: `max_bytes` is below 1.
    """

    max_bytes: int = field(default=10_000_000, kw_only=True)

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ConfigError(f"max_bytes is {self.max_bytes}", where=_WHERE, fix="use 1 or more")

    @property
    def name(self) -> str:
        """The name in a manifest."""
        return "json"

    @property
    def suffix(self) -> str:
        """The end of the file name."""
        return ".json"

    def dump(self, value: object) -> Dumped:
        """The value as UTF-8 JSON without spaces.

        Raises:
            EntityError: it is None, holds something JSON has no word for, or is too large.
        """
        if value is None:
            raise EntityError(*refused_value(value, _WHERE, _WANTED, ""))
        _check(value, "", 0)
        try:
            data = _encode(value).encode()
        except ValueError as error:  # nan, half a surrogate pair, thousands of digits
            raise EntityError(
                f"a value cannot be written as JSON: {error}",
                where=_WHERE,
                fix="use finite numbers and valid text; None stands for a missing number",
            ) from error
        if len(data) > self.max_bytes:
            raise EntityError(
                f"the JSON text has {len(data):,} bytes, {self.max_bytes:,} are allowed",
                where=_WHERE,
                fix="raise max_bytes, or store it with Array() or Table()",
            )
        return Dumped(data)

    def load(self, data: bytes, where: str) -> JsonValue:
        """The value that was stored, made anew.

        Raises:
            EntityError: the bytes are not JSON.
        """
        try:
            return json.loads(data, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise EntityError(*refused_bytes(where, "JSON", error)) from error

    def to_json(self) -> dict[str, JsonValue]:
        """The parameters."""
        return {"max_bytes": self.max_bytes}


def _check(value: object, path: str, depth: int) -> None:
    """Python's encoder turns keys into text and runs into its own limits; this says where.

    Raises:
        EntityError: something in it is not JSON.
    """
    if value is None or isinstance(value, str | int | float):
        return
    if depth == _DEEPEST:
        raise EntityError(
            f"the value is nested deeper than {_DEEPEST}, or contains itself",
            where=_WHERE,
            fix="return a flatter value",
        )
    if isinstance(value, dict):
        for key, item in cast("Mapping[object, object]", value).items():
            if not isinstance(key, str):
                raise EntityError(
                    f"key {key!r}{_at(path)} is {type(key).__name__}, not text",
                    where=_WHERE,
                    fix=f"use str({key!r})",
                )
            _check(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(cast("Sequence[object]", value)):
            _check(item, f"{path}[{position}]", depth + 1)
    elif not path:
        raise EntityError(*refused_value(value, _WHERE, _WANTED, _fix(value)))
    else:
        raise EntityError(
            f"{type(value).__name__}{_at(path)} is not JSON", where=_WHERE, fix=_fix(value)
        )


def _at(path: str) -> str:
    return f" at '{path.lstrip('.')}'" if path else ""


def _fix(value: object) -> str:
    if type(value).__module__ == "numpy":
        return "convert it with .item() or .tolist(), or store arrays with Array()"
    return "return text, numbers, truth values, lists and dicts"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
