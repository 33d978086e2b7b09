"""Which service carries out the jobs of an engine."""

from klio_dagster.engine.options import (
    DataflowOptions,
    FlinkOptions,
    PortableOptions,
    PrismOptions,
    RemoteOptions,
)
from klio_dagster.engine.remote.job import Service


def service_of(options: RemoteOptions) -> Service:
    """The service of an engine. Nobody is asked yet.

    Raises:
        ConfigError: its options are wrong.
        ValueError: it is no engine of ours.
    """
    match options:
        case DataflowOptions():
            from klio_dagster.engine.beam.dataflow import Dataflow

            return Dataflow(options)
        case FlinkOptions():
            from klio_dagster.engine.beam.flink import Flink

            return Flink(options)
        case PrismOptions() | PortableOptions():
            from klio_dagster.engine.beam.portable import Portable

            return Portable(options)
        case _:
            raise ValueError(f"no service for {options!r}")
