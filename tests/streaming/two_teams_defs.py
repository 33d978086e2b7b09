"""Two code locations, as two teams deploy them: `speech` hears what `sound` tells, and asks it."""

import json
import os
from pathlib import Path

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.defs.decorator import klio_assets, source_assets
from klio_dagster.defs.engines import LocalEngine
from klio_dagster.defs.resource import KlioResource
from klio_dagster.streaming.sensor import build_klio_pubsub_sensor
from tests.flows import flow_jobs as jobs

# Set by the test: names of topics and subscriptions on its emulator.
_NAMES: dict[str, str] = json.loads(os.environ["TWO_TEAMS"])
SOUND, SPEECH = (JobId(_NAMES["project"], name) for name in ("sound", "speech"))
_RECORDINGS = Path.cwd() / "data" / "recording"
_EVERY_S = 2


def _definitions(assets: dg.AssetsDefinition, store: str, subscription: str) -> dg.Definitions:
    return dg.Definitions(
        assets=[assets, *source_assets(assets)],
        sensors=[
            build_klio_pubsub_sensor(
                assets=assets,
                subscription=subscription,
                minimum_interval_seconds=_EVERY_S,
                default_status=dg.DefaultSensorStatus.RUNNING,
            )
        ],
        resources={"klio": KlioResource(store=store, engine=LocalEngine(workers=1))},
        executor=dg.in_process_executor,
    )


@klio_assets(
    partitions_def=dg.DynamicPartitionsDefinition(name="recordings"),
    assets=[EntityAsset("recording", jobs.text, source="tracks/{entity}.txt", output=Json())],
    job=SOUND,
    publish_to=_NAMES["sound_done"],
)
def sound_team(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


@klio_assets(
    partitions_def=dg.DynamicPartitionsDefinition(name="words"),
    assets=[
        EntityAsset(
            "words",
            jobs.text,
            source=f"file://{_RECORDINGS}/{{entity:escaped}}.json",
            output=Json(),
            upstream=UpstreamTrigger(SOUND, _NAMES["sound_in"]),
        )
    ],
    job=SPEECH,
    publish_to=_NAMES["speech_done"],
)
def speech_team(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


sound = _definitions(sound_team, "data", _NAMES["sound_subscription"])
speech = _definitions(speech_team, "speech", _NAMES["speech_subscription"])
