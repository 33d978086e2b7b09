"""Definitions and the graph they make, where Dagster has no public word for what runs need."""

from collections.abc import Callable, Mapping
from typing import cast

import dagster as dg


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


def partitions_by_key(
    context: dg.AssetExecutionContext,
) -> dict[str, dg.PartitionsDefinition[str] | None]:
    """Partitions of every asset of the code location, by key.

    Private because a context's `repository_def` is there in runs of a code location only, and not
    in `dg.materialize`.
    """
    graph = context.op_execution_context.job_def.asset_layer.asset_graph
    return {
        key.to_user_string(): graph.get(key).partitions_def for key in graph.get_all_asset_keys()
    }
