"""Two code locations, as two teams deploy them: `speech` follows `sound` through the ledger."""

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.defs.decorator import klio_assets, source_assets
from klio_dagster.defs.engines import LocalEngine
from klio_dagster.defs.reconcile import build_klio_reconcile_sensor
from klio_dagster.defs.resource import KlioResource
from tests.flows import flow_jobs as jobs

_EVERY_S = 2


@klio_assets(
    partitions_def=dg.DynamicPartitionsDefinition(name="tracks"),
    assets=[EntityAsset("recording", jobs.stripped, source="tracks/{entity}.txt", output=Json())],
)
def sound_team(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


sound = dg.Definitions(
    assets=[sound_team, *source_assets(sound_team)],
    sensors=[
        build_klio_reconcile_sensor(
            assets=sound_team,
            minimum_interval_seconds=_EVERY_S,
            default_status=dg.DefaultSensorStatus.RUNNING,
        )
    ],
    resources={"klio": KlioResource(store="data", engine=LocalEngine(workers=1))},
    executor=dg.in_process_executor,
)

# What the other location defines is not known here: its partitions are said again.
tracks = dg.DynamicPartitionsDefinition(name="tracks")


@klio_assets(
    partitions_def=tracks,
    assets=[EntityAsset("words", jobs.length, deps=[dg.AssetKey("recording")], output=Json())],
)
def speech_team(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


speech = dg.Definitions(
    assets=[speech_team, dg.AssetSpec("recording", partitions_def=tracks)],
    sensors=[build_klio_reconcile_sensor(assets=speech_team, minimum_interval_seconds=_EVERY_S)],
    resources={"klio": KlioResource(store="speech", engine=LocalEngine(workers=1))},
    executor=dg.in_process_executor,
)
