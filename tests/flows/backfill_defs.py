"""Two groups as two teams would have them: the second one follows through Dagster's automation."""

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.defs.automation import klio_automation_condition
from klio_dagster.defs.decorator import klio_assets, source_assets
from klio_dagster.defs.engines import LocalEngine
from klio_dagster.defs.repair import define_klio_repair_job
from klio_dagster.defs.resource import KlioResource
from klio_dagster.defs.translator import KlioTranslator
from tests.flows import flow_jobs as jobs

tracks = dg.DynamicPartitionsDefinition(name="tracks")


class Following(KlioTranslator):
    def get_asset_spec(self, asset: EntityAsset) -> dg.AssetSpec:
        spec = super().get_asset_spec(asset)
        return spec.replace_attributes(automation_condition=klio_automation_condition())


@klio_assets(
    partitions_def=tracks,
    assets=[
        EntityAsset("recording", jobs.text, source="tracks/{entity}.txt", output=Json()),
        EntityAsset("mel", jobs.length, deps=["recording"], output=Json()),
        EntityAsset("letters", jobs.pictured, deps=["recording"], output=Json()),
    ],
)
def first_team(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


@klio_assets(
    partitions_def=tracks,
    assets=[EntityAsset("size", jobs.length, deps=[dg.AssetKey("recording")], output=Json())],
    translator=Following(),
)
def second_team(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


defs = dg.Definitions(
    assets=[first_team, second_team, *source_assets(first_team)],
    jobs=[define_klio_repair_job(first_team)],
    sensors=[
        dg.AutomationConditionSensorDefinition("automation", target="*", minimum_interval_seconds=1)
    ],
    resources={"klio": KlioResource(store="data", engine=LocalEngine(workers=1))},
    executor=dg.in_process_executor,
)
