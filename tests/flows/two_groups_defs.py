"""Two groups that Dagster may compute at the same time; each waits until the other computes."""

import os
import time
from pathlib import Path

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.entity import Entity
from klio_dagster.defs.decorator import klio_assets
from klio_dagster.defs.engines import LocalEngine
from klio_dagster.defs.resource import KlioResource

MEETING = "KLIO_TEST_MEETING"
STORE = "KLIO_TEST_STORE"
ENTITIES = ["a", "b"]

_PATIENCE_S = 60.0


def _met(own: str, other: str) -> bool:
    place = Path(os.environ[MEETING])
    (place / own).touch()
    deadline = time.monotonic() + _PATIENCE_S
    while not (place / other).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return (place / other).exists()


def left(entity: Entity) -> bool:
    """Whether `right` was computed at the same time."""
    return _met("left", "right")


def right(entity: Entity) -> bool:
    """Whether `left` was computed at the same time."""
    if entity.id == "b":
        raise ValueError("no b on this side")
    return _met("right", "left")


entities = dg.DynamicPartitionsDefinition(name="entities")


@klio_assets(partitions_def=entities, assets=[EntityAsset("left", left, output=Json())])
def lefts(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


@klio_assets(partitions_def=entities, assets=[EntityAsset("right", right, output=Json())])
def rights(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)


def both() -> dg.JobDefinition:
    """Both groups on Dagster's own executor, a process each."""
    return dg.Definitions(
        assets=[lefts, rights],
        resources={"klio": KlioResource(store=os.environ[STORE], engine=LocalEngine(workers=1))},
        jobs=[dg.define_asset_job("both", executor_def=dg.multiprocess_executor)],
    ).resolve_job_def("both")
