"""Engine options out of the manifest's plain dict, checked at birth."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from klio_dagster.errors import ConfigError

LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What every engine is told.

    Args:
        kind: of the engine.
        workers: worker processes in each process that executes the pipeline, >= 1.
        pipeline_options: passed to Beam untouched.

    Raises:
        ConfigError: `workers` is below 1.
    """

    kind: str
    workers: int
    pipeline_options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(
                f"workers is {self.workers}", where=f"engine '{self.kind}'", fix="use 1 or more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions(EngineOptions):
    """How this machine executes a manifest.

    Args:
        spares: folder where spare drivers wait; None: each run starts its own.
    """

    spares: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions(EngineOptions):
    """What is told to every engine whose jobs run elsewhere.

    Args:
        start_timeout_s: seconds after which a job that has not started is cancelled.
        stall_timeout_s: seconds without a receipt after which a running job is cancelled.
        cancel_timeout_s: seconds that its end may take once it was asked for.
    """

    start_timeout_s: float = 1800.0
    stall_timeout_s: float = 7200.0
    cancel_timeout_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PortableOptions(RemoteOptions):
    """A service that speaks Beam's Job API.

    Args:
        job_endpoint: its address, `host:port`.
        environment: how its workers are started: `process`, `docker` or `external`.
        worker: command of a `process`, image of a `docker`, address of what is `external`.
        variables: environment variables of a `process`.

    Raises:
        ConfigError: `workers` is below 1, or `worker` is not set where it has to be: Beam's
            `environment_options` may say it instead.
    """

    job_endpoint: str = ""
    environment: str = "process"
    worker: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        EngineOptions.__post_init__(self)
        is_said = self.worker or "environment_options" in self.pipeline_options
        if self.environment != "process" and not is_said:
            raise ConfigError(
                f"environment is {self.environment}, and worker is not set",
                where=f"engine '{self.kind}'",
                fix="set worker to the container's image, or the address of the running workers",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrismOptions(PortableOptions):
    """Beam's Prism.

    Args:
        location: path of its binary, which the run starts; else `job_endpoint` is that of one that
            runs.
    """

    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlinkOptions(PortableOptions):
    """An Apache Flink cluster.

    Args:
        master: address of its REST service, `host:port`.
        job_server_jar: path of Beam's job server, which the run starts; else `job_endpoint` is that
            of one that runs.
        parallelism: tasks at a time.
    """

    master: str
    job_server_jar: str = ""
    parallelism: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DataflowOptions(RemoteOptions):
    """Google Cloud Dataflow.

    Args:
        project: id of the Google Cloud project.
        region: where jobs run.
        endpoint: address of its service; empty for Google's.
        prices: of a unit of what a job uses, by name (`engine.beam.dataflow_bill`).
        currency: of the prices.
    """

    project: str
    region: str
    endpoint: str = ""
    prices: Mapping[str, float] = field(default_factory=dict[str, float])
    currency: str = "USD"


# One process there executes the pipeline; elsewhere the service starts as many as it has cores for.
_ON_ALL_CORES = frozenset({LOCAL, "prism"})
_KINDS: Mapping[str, type[LocalOptions] | type[RemoteOptions]] = {
    LOCAL: LocalOptions,
    "dataflow": DataflowOptions,
    "flink": FlinkOptions,
    "portable": PortableOptions,
    "prism": PrismOptions,
}


def engine_options(engine: Mapping[str, Any]) -> LocalOptions | RemoteOptions:
    """The options of an engine; as many workers as it has cores unless it says otherwise.

    Raises:
        ConfigError: an engine of an unknown kind, an unknown option or a wrong value.
    """
    kind = engine.get("kind")
    options = _KINDS.get(str(kind))
    if options is None:
        raise ConfigError(
            f"unknown engine {kind!r}", where="engine", fix=f"use one of {', '.join(_KINDS)}"
        )
    known = {each.name for each in fields(options)}
    if unknown := sorted(set(engine) - known):
        raise ConfigError(
            f"unknown option {', '.join(unknown)}",
            where=f"engine {kind!r}",
            fix=f"it takes {', '.join(sorted(known - {'kind', 'spares'}))}",
        )
    if kind != "dataflow" and dict(engine.get("pipeline_options") or {}).get("streaming"):
        raise ConfigError(
            "a pipeline that reads Pub/Sub itself works from Python on Dataflow only",
            where=f"engine {kind!r}, pipeline_options",
            fix="leave `streaming` out and use build_klio_pubsub_sensor: it starts a run for what"
            " comes, on every engine",
        )
    told: dict[str, Any] = {"workers": usable_cores() if kind in _ON_ALL_CORES else 1}
    told |= {key: value for key, value in engine.items() if value is not None}
    try:
        return options(**told)
    except TypeError as error:
        raise ConfigError(str(error), where=f"engine {kind!r}", fix="add what is missing") from None


def is_remote(engine: Mapping[str, Any]) -> bool:
    """Its jobs outlive the process that submits them, or run on other machines."""
    return engine.get("kind") != LOCAL


def usable_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
