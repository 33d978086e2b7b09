"""The one `defs` that workspace.yaml loads."""

import dagster as dg

from asset_defs.tracks import track_audio
from klio_dagster import KlioResource, define_klio_repair_job, source_assets
from sensors.tracks import track_sensors

defs = dg.Definitions(
    assets=[track_audio, *source_assets(track_audio)],
    jobs=[define_klio_repair_job(track_audio)],
    sensors=track_sensors(track_audio),
    resources={"klio": KlioResource(store=".klio/store")},
    # One step computes all of a run: a process of its own would only start slower.
    executor=dg.in_process_executor,
)
