"""`EntityGroup`: what `@klio_assets` made of a group, and how it is found again from Dagster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import dagster as dg

from klio_dagster.core.graph import Chain
from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.errors import ConfigError

_ATTRIBUTE = "__klio_group__"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityGroup:
    """A group of entity assets.

    Args:
        name: of the op.
        chain: assets and steps.
        partitions: name of the dynamic partitions definition: the catalogue.
        keys: name of an asset, key path of an outside one or source pattern to asset key.
        code_versions: of each asset and step.
        sources: source pattern to the spec of its external asset.
        max_entities_per_run: bounds what a backfill puts into one run.
        job: who the group is in messages; None: named after the project and the group.
        publish_to: topic that is told of every entity that is recorded; None: nobody is.
    """

    name: str
    chain: Chain
    partitions: str
    keys: Mapping[str, str]
    code_versions: Mapping[str, str]
    sources: Mapping[str, dg.AssetSpec]
    max_entities_per_run: int
    job: JobId | None = None
    publish_to: str | None = None

    @property
    def upstreams(self) -> Mapping[str, UpstreamTrigger]:
        """Name of an asset to the job that makes its missing input."""
        return {asset.name: asset.upstream for asset in self.chain.assets if asset.upstream}

    def names_of(self, keys: Iterable[str]) -> list[str]:
        """The assets that have these keys, upstream first."""
        wanted = set(keys)
        return [asset.name for asset in self.chain.assets if self.keys[asset.name] in wanted]


def attach(function: object, group: EntityGroup) -> None:
    """Leave the group where `group_of` finds it: on the user's function, which Dagster keeps."""
    setattr(function, _ATTRIBUTE, group)


def entity_group(assets: dg.AssetsDefinition, where: str) -> EntityGroup:
    """The group behind a definition.

    Args:
        assets: the definition.
        where: what it was given to, for the error.

    Raises:
        ConfigError: `@klio_assets` did not make it.
    """
    group = group_of(assets)
    if group is None:
        raise ConfigError(
            f"'{', '.join(k.to_user_string() for k in assets.keys)}' was not made by @klio_assets",
            where=where,
            fix="give it what @klio_assets decorates",
        )
    return group


def group_of(assets: dg.AssetsDefinition) -> EntityGroup | None:
    """The group behind a definition; None if `@klio_assets` did not make it."""
    if not assets.is_executable or not isinstance(assets.node_def, dg.OpDefinition):
        return None
    function = getattr(assets.node_def.compute_fn, "decorated_fn", None)
    return cast("EntityGroup | None", getattr(function, _ATTRIBUTE, None))
