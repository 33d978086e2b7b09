"""A code location of three counted assets; its store is named by the environment."""

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.defs.decorator import klio_assets
from klio_dagster.defs.resource import KlioResource
from tests.flows import counted_jobs as jobs

entities = dg.DynamicPartitionsDefinition(name="entities")


@klio_assets(
    partitions_def=entities,
    assets=[
        EntityAsset("first", jobs.first, output=Json()),
        EntityAsset("second", jobs.second, deps=["first"], output=Json()),
        EntityAsset("third", jobs.third, deps=["second"], output=Json()),
    ],
)
def counted(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


defs = dg.Definitions(
    assets=[counted],
    resources={"klio": KlioResource(store=dg.EnvVar("KLIO_TEST_STORE"))},
    executor=dg.in_process_executor,
)
