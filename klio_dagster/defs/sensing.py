"""What a sensor of a group finds in Dagster's context."""

from typing import Any

import dagster as dg

from klio_dagster.defs.resource import KlioResource
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals.definitions import partitions_in


def graph_of(context: dg.SensorEvaluationContext) -> dict[str, Any]:
    """Partitions of every asset that the code location defines, by key.

    Raises:
        ConfigError: the sensor was evaluated without one.
    """
    repository = context.repository_def
    if repository is None:
        raise ConfigError(
            "it was evaluated without a code location",
            where=f"sensor '{context.sensor_name}'",
            fix="give `definitions=` to build_sensor_context",
        )
    return partitions_in(repository.asset_graph)


def resource_keys(assets: dg.AssetsDefinition) -> set[str]:
    """The resources that the group's op gets."""
    return {key for key in assets.required_resource_keys if key != "io_manager"}


def resource_of(context: dg.SensorEvaluationContext, assets: dg.AssetsDefinition) -> KlioResource:
    """The resource that the group's op gets.

    Raises:
        ConfigError: it gets none.
    """
    for key in sorted(resource_keys(assets)):
        resource = getattr(context.resources, key)
        if isinstance(resource, KlioResource):
            return resource
    raise ConfigError(
        "its function takes no KlioResource",
        where=f"sensor '{context.sensor_name}'",
        fix="add a parameter `klio: KlioResource` to the group's function",
    )
