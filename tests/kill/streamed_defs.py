"""A code location that messages ask for, whose processes die at the point its folder is armed with.

Everything about it is told by the environment, so that a daemon, its code server, run workers and
the processes of `tests.kill.warm` are all of one kind.
"""

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.defs.decorator import klio_assets, source_assets
from klio_dagster.defs.engines import LocalEngine
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.defs.resource import KlioResource
from klio_dagster.streaming.sensor import build_klio_pubsub_sensor
from tests.kill import points
from tests.kill import streamed_jobs as jobs

STREAM = "KLIO_TEST_STREAM"
"""JSON: store, project, host, subscription, topic, and where it has one the upstream topic."""

GROUP, SENSOR = "work", "messages_work"
ASSETS = ("recording", "mel", "report")
UPSTREAM_JOB = "maker"
WORKERS = 2
TRACKS = dg.DynamicPartitionsDefinition(name="tracks")


def made(told: dict[str, Any]) -> dg.Definitions:
    """The code location of a stream."""
    asked = told.get("upstream")
    maker = JobId(told["project"], UPSTREAM_JOB)
    upstream = UpstreamTrigger(maker, asked, **told["trigger"]) if asked else None

    @klio_assets(
        partitions_def=TRACKS,
        assets=[
            EntityAsset(
                "recording",
                jobs.text,
                source="tracks/{entity}.txt",
                output=Json(),
                upstream=upstream,
            ),
            EntityAsset("mel", jobs.length, deps=["recording"], output=Json()),
            EntityAsset("report", jobs.report, deps=["mel"], output=Json()),
        ],
        name=GROUP,
        publish_to=told["topic"],
    )
    def work(context: dg.AssetExecutionContext, klio: KlioResource):
        yield from klio.run(context=context)

    sensor = build_klio_pubsub_sensor(
        assets=work,
        subscription=told["subscription"],
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        **told.get("options", {}),
    )
    pubsub = KlioPubSubResource(project=told["project"], emulator_host=told["host"])
    klio = KlioResource(store=told["store"], engine=LocalEngine(workers=WORKERS), pubsub=pubsub)
    return dg.Definitions(
        assets=[work, *source_assets(work)],
        sensors=[sensor],
        resources={"klio": klio},
        executor=dg.in_process_executor,
    )


if STREAM in os.environ:
    points.install(Path(os.environ[points.FOLDER]))
    defs = made(json.loads(os.environ[STREAM]))
