"""Contracts and checks of entity assets as Dagster's asset checks, one evaluation an entity."""

import warnings
from collections.abc import Mapping

import dagster as dg

from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.graph import Chain
from klio_dagster.core.output import PromisingCodec
from klio_dagster.ledger import events


def check_specs(
    chain: Chain,
    specs: Mapping[str, dg.AssetSpec],
    partitions_def: dg.PartitionsDefinition[str],
) -> list[dg.AssetCheckSpec]:
    """The checks of all assets of a group.

    None is blocking in Dagster's sense, which would keep the next group from starting because of
    one entity: a blocking check fails that entity's asset instead, and what depends on it.

    Args:
        chain: the group.
        specs: of each asset.
        partitions_def: the catalogue.
    """
    return [
        _spec(name, specs[asset.name].key, severity, description, partitions_def)
        for asset in chain.assets
        for name, severity, description in checks_of(asset)
    ]


def checks_of(asset: EntityAsset) -> list[tuple[str, str, str]]:
    """Name, severity and description of each check of an asset."""
    promises = asset.output.promises if isinstance(asset.output, PromisingCodec) else ()
    return [(each.name, each.severity, each.description) for each in (*promises, *asset.checks)]


def _spec(
    name: str,
    key: dg.AssetKey,
    severity: str,
    description: str,
    partitions_def: dg.PartitionsDefinition[str],
) -> dg.AssetCheckSpec:
    consequence = (
        "What does not pass is not stored." if severity == "blocking" else "What fails is flagged."
    )
    description = f"{description.rstrip('.')}. {consequence}" if description else consequence
    metadata = {"severity": severity}
    if not events.CHECKS_HAVE_PARTITIONS:
        return dg.AssetCheckSpec(name, asset=key, description=description, metadata=metadata)
    with warnings.catch_warnings():
        # That partitions of checks are a preview is our affair, not that of whoever uses us.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name,
            asset=key,
            description=description,
            metadata=metadata,
            partitions_def=partitions_def,
        )
