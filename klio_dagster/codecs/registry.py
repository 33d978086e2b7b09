"""Codecs by name: what a manifest or a ledger record says, made an object again."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from klio_dagster.audio.write import AudioFormat
from klio_dagster.codecs.array import Array
from klio_dagster.codecs.audio import Audio
from klio_dagster.codecs.json import Json
from klio_dagster.codecs.table import Table
from klio_dagster.core.output import Json as JsonValue
from klio_dagster.core.output import OutputCodec
from klio_dagster.errors import ConfigError

# Only these: a manifest or a record cannot name a class to import.
_CODECS: Mapping[str, Callable[..., OutputCodec]] = {
    "array": Array,
    "audio": Audio,
    "json": Json,
    "table": Table,
}


def codec_to_json(codec: OutputCodec) -> dict[str, JsonValue]:
    """A codec's name and parameters.

    Raises:
        ConfigError: it is not one of the library's codecs, so no worker could make it again.
    """
    if type(codec) is not _CODECS.get(codec.name):
        raise ConfigError(
            f"{type(codec).__qualname__} is not a codec of this library",
            where="output",
            fix=f"use one of {_known()}",
        )
    return {"name": codec.name, **codec.to_json()}


def codec_from_json(fields: Mapping[str, Any]) -> OutputCodec:
    """The codec that `codec_to_json` wrote down.

    Raises:
        ConfigError: this version does not know it, or not these parameters.
    """
    name = fields.get("name")
    make = _CODECS.get(name) if isinstance(name, str) else None
    where = f"codec '{name}'"
    if make is None:
        raise ConfigError("there is no such codec", where=where, fix=f"use one of {_known()}")
    try:
        return make(**{key: value for key, value in fields.items() if key != "name"})
    except TypeError as error:
        raise ConfigError(
            f"its parameters are not understood ({error})",
            where=where,
            fix="use the version of klio-dagster that wrote them",
        ) from error


def suffixes() -> list[str]:
    """Every ending that an output of this library can have, whatever its codec."""
    made = [Array(), Json(), Table(), *(Audio(form) for form in get_args(AudioFormat))]
    return sorted({codec.suffix for codec in made})


def _known() -> str:
    return ", ".join(sorted(_CODECS))
