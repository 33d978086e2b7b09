"""Definitions and the graph they make, where Dagster has no public word for what runs need."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

import dagster as dg

# Private because a graph and what the public `define_asset_job` gives have no public name, for
# annotations, nor has what Dagster marks an asset with that is only named.
from dagster._core.definitions.assets.definition.asset_spec import (
    SYSTEM_METADATA_KEY_AUTO_CREATED_STUB_ASSET as _ONLY_NAMED,
)
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as AssetJob,
)

__all__ = [
    "AssetJob",
    "finished_outputs",
    "job_of_entities",
    "partitions_by_key",
    "partitions_in",
    "runnable_without_partitions",
]


def runnable_without_partitions(assets: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The assets, so that a run that names its entities instead of partitions can execute them.

    Private because publicly every such run fails as soon as an input has an event: before a step
    starts, Dagster looks up the run's partitions of its partitioned inputs. They stay inputs, or
    two groups in one run would lose their order; only the name it finds them by is taken away,
    and then it reads their newest event, which nobody uses: our events carry their own provenance.

    Args:
        assets: made by `multi_asset`; changed in place.
    """
    assets.__class__ = _EntityAssets
    return assets


class _EntityAssets(dg.AssetsDefinition):
    """Without names for its inputs; selections and copies of it too."""

    @property
    def input_names_by_node_key(self) -> Mapping[dg.AssetKey, str]:
        return {}

    @staticmethod
    def dagster_internal_init(  # pyright: ignore[reportIncompatibleMethodOverride] - static there too
        **attributes: object,
    ) -> dg.AssetsDefinition:
        make = cast("Callable[..., dg.AssetsDefinition]", dg.AssetsDefinition.dagster_internal_init)
        return runnable_without_partitions(make(**attributes))


def job_of_entities(job: AssetJob) -> AssetJob:
    """The asset job without partitions: its runs name their entities in the run config.

    Private because publicly a job of partitioned assets has their partitions: its run config would
    be that of one partition, and the UI would ask for one before it launches the job.

    Args:
        job: made by `define_asset_job`.
    """
    fields = {name: getattr(job, name) for name in AssetJob.__annotations__}
    return _JobOfEntities(**fields)


class _JobOfEntities(AssetJob):
    """Resolved as other asset jobs, but for the partitions."""

    def resolve(self, *args: object, **kwargs: object) -> dg.JobDefinition:
        resolve = cast("Callable[..., dg.JobDefinition]", super().resolve)
        return resolve(*args, **kwargs)._copy(partitions_def=None)


def finished_outputs(
    context: dg.AssetExecutionContext, keys: Iterable[str]
) -> Iterator[dg.Output[None]]:
    """What the op of recorded assets yields at its end: its outputs, without events of Dagster's.

    Private because publicly an output is an event that claims the whole partition or range of the
    run, and without an output Dagster skips every op of the run that depends on this one. What it
    marks is a workaround of Dagster's own, for ops that record what they observe as we do; the
    key is the same in 1.13.0 and the newest.

    Args:
        context: of the op.
        keys: of the assets it was to compute, upstream first; Dagster refuses another order.
    """
    for key in keys:
        name = context.op_execution_context.output_for_asset_key(dg.AssetKey(key.split("/")))
        yield dg.Output(None, name, metadata={"__source_asset_observation__": True})


def evaluation_of(sensor: dg.SensorDefinition) -> object:
    """The function that a sensor was made with.

    Private because Dagster copies sensors when it binds their resources, and nothing but the
    function survives that; without it the sensor's settings could not be found again.
    """
    return sensor._raw_fn


def is_only_op(context: dg.AssetExecutionContext) -> bool:
    """Whether the run computes nothing but the assets of this op.

    Private because publicly a context knows its own op only, and an asset job all its ops.

    Args:
        context: of the op.
    """
    return len(context.op_execution_context.job_def.nodes) == 1


def partitions_by_key(
    context: dg.AssetExecutionContext,
) -> dict[str, dg.PartitionsDefinition[str] | None]:
    """Partitions of every asset that the code location defines, by key.

    Private because a context's `repository_def` is there in runs of a code location only, and not
    in `dg.materialize`.
    """
    return partitions_in(context.op_execution_context.job_def.asset_layer.asset_graph)


def partitions_in(graph: AssetGraph) -> dict[str, dg.PartitionsDefinition[str] | None]:
    """Partitions of every asset that a graph defines, by key.

    Private because publicly nothing tells an asset that is defined without partitions from one that
    is only named in somebody's `deps`: Dagster puts both into the graph without partitions.
    """
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    return {
        key: node.partitions_def
        for key, node in nodes.items()
        if not node.metadata.get(_ONLY_NAMED)
    }
