"""Engine options out of the manifest's plain dict, checked at birth."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from klio_dagster.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """How this machine executes a manifest.

    Args:
        workers: worker processes, >= 1.
        pipeline_options: passed to Beam untouched.
        spares: folder where spare drivers wait; None: each run starts its own.

    Raises:
        ConfigError: `workers` is below 1.
    """

    workers: int
    pipeline_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    spares: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(
                f"workers is {self.workers}", where="engine 'local'", fix="use 1 or more"
            )


def local_options(engine: Mapping[str, Any]) -> LocalOptions:
    """The options of the local engine; as many workers as cores unless it says otherwise.

    Raises:
        ConfigError: another kind of engine, an unknown option or a wrong value.
    """
    fields = dict(engine)
    kind = fields.pop("kind", None)
    if kind != "local":
        raise ConfigError(f"unknown engine {kind!r}", where="engine", fix="use LocalEngine()")
    workers = fields.pop("workers", None) or usable_cores()
    pipeline_options: Mapping[str, Any] = fields.pop("pipeline_options", None) or {}
    spares = fields.pop("spares", None)
    if fields:
        raise ConfigError(
            f"unknown option {', '.join(sorted(fields))}",
            where="engine 'local'",
            fix="it takes workers and pipeline_options",
        )
    return LocalOptions(workers=workers, pipeline_options=pipeline_options, spares=spares)


def usable_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
