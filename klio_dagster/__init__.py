"""Audio pipelines as Dagster assets: one partition an entity, computed by Beam, never twice.

Everything a user writes is imported from here.
"""

from typing import TYPE_CHECKING

from klio_dagster.version import __version__

__all__ = [
    "Array",
    "Audio",
    "AudioClip",
    "Backoff",
    "Check",
    "CheckFailedError",
    "CheckResult",
    "ConfigError",
    "DataflowEngine",
    "Entity",
    "EntityAsset",
    "EntityError",
    "EntityStep",
    "FlinkEngine",
    "JobId",
    "Json",
    "JsonField",
    "KlioError",
    "KlioPubSubResource",
    "KlioResource",
    "KlioRunConfig",
    "KlioTranslator",
    "LocalEngine",
    "MessageError",
    "PlainIds",
    "PortableEngine",
    "Prices",
    "PrismEngine",
    "PubSubError",
    "Result",
    "SourceFile",
    "StorageNotifications",
    "Table",
    "UpstreamTrigger",
    "__version__",
    "build_klio_pubsub_sensor",
    "build_klio_reconcile_sensor",
    "build_klio_retry_sensor",
    "define_klio_repair_job",
    "duration_between",
    "klio_assets",
    "klio_automation_condition",
    "no_dc_offset",
    "no_nan",
    "not_clipped",
    "not_silent",
    "source_assets",
]

if TYPE_CHECKING:
    from klio_dagster.audio.clip import AudioClip as AudioClip
    from klio_dagster.audio.levels import duration_between as duration_between
    from klio_dagster.audio.levels import no_dc_offset as no_dc_offset
    from klio_dagster.audio.levels import no_nan as no_nan
    from klio_dagster.audio.levels import not_clipped as not_clipped
    from klio_dagster.audio.levels import not_silent as not_silent
    from klio_dagster.codecs.array import Array as Array
    from klio_dagster.codecs.audio import Audio as Audio
    from klio_dagster.codecs.json import Json as Json
    from klio_dagster.codecs.table import Table as Table
    from klio_dagster.core.asset import EntityAsset as EntityAsset
    from klio_dagster.core.asset import EntityStep as EntityStep
    from klio_dagster.core.backoff import Backoff as Backoff
    from klio_dagster.core.check import Check as Check
    from klio_dagster.core.check import CheckResult as CheckResult
    from klio_dagster.core.entity import Entity as Entity
    from klio_dagster.core.entity import Result as Result
    from klio_dagster.core.job import JobId as JobId
    from klio_dagster.core.job import UpstreamTrigger as UpstreamTrigger
    from klio_dagster.defs.automation import (
        klio_automation_condition as klio_automation_condition,
    )
    from klio_dagster.defs.decorator import klio_assets as klio_assets
    from klio_dagster.defs.decorator import source_assets as source_assets
    from klio_dagster.defs.engines import DataflowEngine as DataflowEngine
    from klio_dagster.defs.engines import FlinkEngine as FlinkEngine
    from klio_dagster.defs.engines import LocalEngine as LocalEngine
    from klio_dagster.defs.engines import PortableEngine as PortableEngine
    from klio_dagster.defs.engines import Prices as Prices
    from klio_dagster.defs.engines import PrismEngine as PrismEngine
    from klio_dagster.defs.pubsub import KlioPubSubResource as KlioPubSubResource
    from klio_dagster.defs.reconcile import (
        build_klio_reconcile_sensor as build_klio_reconcile_sensor,
    )
    from klio_dagster.defs.repair import define_klio_repair_job as define_klio_repair_job
    from klio_dagster.defs.resource import KlioResource as KlioResource
    from klio_dagster.defs.run_config import KlioRunConfig as KlioRunConfig
    from klio_dagster.defs.translator import KlioTranslator as KlioTranslator
    from klio_dagster.engine.inputs import SourceFile as SourceFile
    from klio_dagster.errors import CheckFailedError as CheckFailedError
    from klio_dagster.errors import ConfigError as ConfigError
    from klio_dagster.errors import EntityError as EntityError
    from klio_dagster.errors import KlioError as KlioError
    from klio_dagster.errors import MessageError as MessageError
    from klio_dagster.errors import PubSubError as PubSubError
    from klio_dagster.message.decoders import JsonField as JsonField
    from klio_dagster.message.decoders import PlainIds as PlainIds
    from klio_dagster.message.decoders import StorageNotifications as StorageNotifications
    from klio_dagster.streaming.retry_sensor import (
        build_klio_retry_sensor as build_klio_retry_sensor,
    )
    from klio_dagster.streaming.sensor import build_klio_pubsub_sensor as build_klio_pubsub_sensor
else:
    # Every worker imports this package, so a name loads its room (Dagster alone is half a second)
    # only when somebody asks for it. In the `else`, so that a type checker still sees typos.
    _HOME = {
        "Array": "codecs.array",
        "Audio": "codecs.audio",
        "AudioClip": "audio.clip",
        "Backoff": "core.backoff",
        "Check": "core.check",
        "CheckFailedError": "errors",
        "CheckResult": "core.check",
        "ConfigError": "errors",
        "DataflowEngine": "defs.engines",
        "Entity": "core.entity",
        "EntityAsset": "core.asset",
        "EntityError": "errors",
        "EntityStep": "core.asset",
        "FlinkEngine": "defs.engines",
        "JobId": "core.job",
        "Json": "codecs.json",
        "JsonField": "message.decoders",
        "KlioError": "errors",
        "KlioPubSubResource": "defs.pubsub",
        "KlioResource": "defs.resource",
        "KlioRunConfig": "defs.run_config",
        "KlioTranslator": "defs.translator",
        "LocalEngine": "defs.engines",
        "MessageError": "errors",
        "PlainIds": "message.decoders",
        "PortableEngine": "defs.engines",
        "Prices": "defs.engines",
        "PrismEngine": "defs.engines",
        "PubSubError": "errors",
        "Result": "core.entity",
        "SourceFile": "engine.inputs",
        "StorageNotifications": "message.decoders",
        "Table": "codecs.table",
        "UpstreamTrigger": "core.job",
        "build_klio_pubsub_sensor": "streaming.sensor",
        "build_klio_reconcile_sensor": "defs.reconcile",
        "build_klio_retry_sensor": "streaming.retry_sensor",
        "define_klio_repair_job": "defs.repair",
        "duration_between": "audio.levels",
        "klio_assets": "defs.decorator",
        "klio_automation_condition": "defs.automation",
        "no_dc_offset": "audio.levels",
        "no_nan": "audio.levels",
        "not_clipped": "audio.levels",
        "not_silent": "audio.levels",
        "source_assets": "defs.decorator",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = found  # the next look-up does not come here
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
