"""A code location of one asset that costs nothing, or a second, asked for by messages too."""

import time

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.entity import Entity
from klio_dagster.defs.decorator import klio_assets
from klio_dagster.defs.resource import KlioResource
from klio_dagster.streaming.sensor import build_klio_pubsub_sensor


def nothing(entity: Entity) -> dict[str, str]:
    time.sleep(1.0 if entity.id.startswith("slow") else 0.0)
    return {}


@klio_assets(
    partitions_def=dg.DynamicPartitionsDefinition(name="entities"),
    assets=[EntityAsset("only", nothing, output=Json())],
    max_entities_per_run=1000,
)
def work(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


defs = dg.Definitions(
    assets=[work],
    sensors=[
        build_klio_pubsub_sensor(
            assets=work,
            subscription=dg.EnvVar("LANES_SUBSCRIPTION").get_value("none"),
            default_status=dg.DefaultSensorStatus.RUNNING,
        )
    ],
    resources={"klio": KlioResource(store="data")},
    executor=dg.in_process_executor,
)
