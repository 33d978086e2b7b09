"""`define_klio_repair_job`: a job that computes what failed, wherever it is in the catalogue."""

import dagster as dg

from klio_dagster.defs.group import entity_group
from klio_dagster.defs.requested import entity_run_tags
from klio_dagster.ledger.internals.definitions import AssetJob, job_of_entities


def define_klio_repair_job(assets: dg.AssetsDefinition, *, name: str | None = None) -> AssetJob:
    """A job that tries again what failed in a group, in one run however scattered it is.

    Its run config says `entities: failed`, and may be changed to anything a run may be told.
    A backfill of the same partitions makes a run for each gap between them.

    Args:
        assets: the group that `@klio_assets` made.
        name: of the job; `repair_<group>` when None.

    Raises:
        ConfigError: `@klio_assets` did not make the assets.
    """
    group = entity_group(assets, where="define_klio_repair_job")
    named = name or f"repair_{group.name}"
    job = dg.define_asset_job(
        named,
        selection=dg.AssetSelection.assets(assets),
        config={"ops": {group.name: {"config": {"entities": "failed"}}}},
        # Of jobs of assets Dagster's UI hides the launchpad behind a dialog that asks for
        # partitions; the link is relative to the job's page.
        description=f"Tries again what failed in '{group.name}', in one run: "
        f"[open the launchpad]({named}/playground) and launch. The run config may name other "
        "entities instead: a list of ids, or missing, stale or all.",
        tags=entity_run_tags("failed"),
    )
    return job_of_entities(job)
