"""`build_klio_pubsub_sensor`: messages ask for entities, and none of them is lost."""

from collections.abc import Collection

import dagster as dg

from klio_dagster.core.request import RerunOn
from klio_dagster.defs.group import entity_group
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.defs.run_config import rerun_reasons
from klio_dagster.defs.sensing import resource_keys, resource_of
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals.definitions import job_of_entities
from klio_dagster.message import Decoder, KlioDecoder
from klio_dagster.streaming.settings import SensorSettings, attach
from klio_dagster.streaming.sources import bound
from klio_dagster.streaming.tick import Remembered, Tick

_WHERE = "build_klio_pubsub_sensor"
_MAX_BYTES = 64 << 20
# Dagster's own loop looks every five seconds. With five here every other look would come a moment
# too soon, and the next tick five seconds later: a second of latency on average.
_TICK_S = 1


def build_klio_pubsub_sensor(
    *,
    assets: dg.AssetsDefinition,
    subscription: str,
    pubsub: KlioPubSubResource | None = None,
    decoder: Decoder | None = None,
    name: str | None = None,
    max_messages: int = 1000,
    max_bytes: int = _MAX_BYTES,
    max_inbox_batches: int = 20,
    allow_non_klio: bool = False,
    rerun_on: Collection[str] = (RerunOn.INPUT,),
    priority: int = 10,
    minimum_interval_seconds: int = _TICK_S,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
) -> dg.SensorDefinition:
    """A sensor that takes messages in and asks for their entities, a run a batch.

    A message is acknowledged once it is in the inbox, a folder of the store, and leaves it once its
    entity is recorded and passed on; what cannot be used is kept among the dead letters. Entities
    that are not in the catalogue yet are registered.

    Args:
        assets: the group that `@klio_assets` made.
        subscription: of the topic on which entities are asked for: short name or full path.
        pubsub: Pub/Sub's settings; those of the group's `KlioResource` when None.
        decoder: what messages are; Klio's when None. `PlainIds`, `JsonField` and
            `StorageNotifications` are the others.
        name: of the sensor and of the job it requests; `messages_<group>` when None.
        max_messages: of one batch, >= 1; `max_entities_per_run` of the group bounds it, too.
        max_bytes: of one batch, >= 1.
        max_inbox_batches: while so many are unfinished nothing is pulled.
        allow_non_klio: bytes that are no Klio message are ids; only for Klio's decoder.
        rerun_on: changes that make finished work stale; add `code_changed` to have messages compute
            again what another version of a transform has made.
        priority: of its runs in Dagster's queue; backfills have 0.
        minimum_interval_seconds: between two ticks.
        default_status: whether it ticks before somebody has switched it on.

    Raises:
        ConfigError: `@klio_assets` did not make the assets, or an option is wrong.
    """
    group = entity_group(assets, where=_WHERE)
    if allow_non_klio and decoder is not None:
        raise ConfigError(
            "allow_non_klio is for Klio's decoder",
            where=_WHERE,
            fix="leave it out, or leave out decoder",
        )
    named = name or f"messages_{group.name}"
    settings = SensorSettings(
        name=named,
        group=group,
        subscription=subscription,
        pubsub=pubsub,
        decoder=decoder or KlioDecoder(allow_non_klio=allow_non_klio),
        max_messages=max_messages,
        max_bytes=max_bytes,
        max_inbox_batches=max_inbox_batches,
        rerun_on=rerun_reasons(rerun_on, where=_WHERE),
        priority=priority,
    )
    job = job_of_entities(
        dg.define_asset_job(
            named,
            selection=dg.AssetSelection.assets(assets),
            description=f"What messages ask of '{group.name}'.",
        )
    )

    remembered = Remembered()

    def evaluate(context: dg.SensorEvaluationContext, **_resources: object) -> dg.SensorResult:
        klio = resource_of(context, assets)
        store = klio.open_store()
        return Tick(
            context=context,
            settings=bound(settings, store),
            store=store,
            pubsub=pubsub or klio.pubsub,
            remembered=remembered,
        ).result()

    attach(evaluate, settings)
    return dg.SensorDefinition(
        name=named,
        job=job,
        evaluation_fn=evaluate,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        required_resource_keys=resource_keys(assets),
        description=f"Messages of the subscription '{subscription}' ask for entities of"
        f" '{group.name}', a run a batch. What cannot be used is kept: klio dead-letter list.",
        metadata=settings.metadata,
    )
