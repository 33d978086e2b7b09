"""`@klio_assets`: entity assets to one subsettable multi-asset that computes the fused chain."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from klio_dagster.codecs.registry import codec_to_json
from klio_dagster.core.asset import EntityStep
from klio_dagster.core.code_version import code_versions
from klio_dagster.core.graph import Chain
from klio_dagster.core.job import JobId
from klio_dagster.defs.checks import check_specs
from klio_dagster.defs.code_references import with_code_references
from klio_dagster.defs.group import EntityGroup, attach, group_of
from klio_dagster.defs.run_config import KlioRunConfig
from klio_dagster.defs.translator import KlioTranslator
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals.definitions import runnable_without_partitions
from klio_dagster.pubsub.settings import check_topic
from klio_dagster.store.layout import check_asset
from klio_dagster.store.sources import SourcePattern

DEFAULT_MAX_ENTITIES_PER_RUN = 1000


def klio_assets(
    *,
    partitions_def: dg.DynamicPartitionsDefinition,
    assets: Sequence[EntityStep],
    max_entities_per_run: int = DEFAULT_MAX_ENTITIES_PER_RUN,
    translator: KlioTranslator | None = None,
    name: str | None = None,
    pool: str | None = None,
    job: JobId | None = None,
    publish_to: str | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make a group of entity assets: one Dagster asset an output, one partition an entity.

    Args:
        partitions_def: the catalogue: dynamic partitions whose keys are entity ids.
        assets: `EntityAsset`s and `EntityStep`s, in any order.
        max_entities_per_run: bounds what a backfill puts into one run, >= 1.
        translator: keys, groups, owners and descriptions in Dagster.
        name: of the op; the function's name when None.
        pool: Dagster's concurrency pool of the op.
        job: who the group is in Klio's messages: their recipients and audit log; the project of the
            subscription or topic and the group's name when None.
        publish_to: Pub/Sub topic, short or `projects/<project>/topics/<topic>`, on which a message
            is published for every entity once it is recorded, at least once.

    Returns:
        A decorator for a function of one line: `yield from klio.run(context=context)`.

    Raises:
        ConfigError: the group does not fit together: an unknown dependency, a cycle, a name twice,
            other partitions; or publish_to names no topic.
    """
    chain = Chain(assets)
    translator = translator or KlioTranslator()
    partitions = _partitions_name(partitions_def)
    if max_entities_per_run < 1:
        raise ConfigError(
            f"max_entities_per_run is {max_entities_per_run}",
            where="klio_assets",
            fix="use 1 or more",
        )
    if publish_to is not None:
        check_topic(publish_to)
    versions = code_versions(chain)
    specs = {asset.name: translator.get_asset_spec(asset) for asset in chain.assets}
    sources = _source_specs(chain, translator, partitions_def)
    keys = _keys(chain, specs, sources)

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        op_name = name or function.__name__
        attach(
            function,
            EntityGroup(
                name=op_name,
                chain=chain,
                partitions=partitions,
                keys=keys,
                code_versions=versions,
                sources=sources,
                max_entities_per_run=max_entities_per_run,
                job=job,
                publish_to=publish_to,
            ),
        )
        complete = [
            with_code_references(spec, chain, asset_name).replace_attributes(
                deps=_deps(chain, asset_name, specs, sources, partitions_def),
                code_version=versions[asset_name],
                skippable=True,
            )
            for asset_name, spec in specs.items()
        ]
        made = dg.multi_asset(
            name=op_name,
            specs=complete,
            check_specs=check_specs(chain, specs, partitions_def),
            can_subset=True,
            partitions_def=partitions_def,
            backfill_policy=dg.BackfillPolicy.multi_run(max_entities_per_run),
            config_schema=KlioRunConfig.to_fields_dict(),
            pool=pool,
        )(function)
        return runnable_without_partitions(made)

    return decorate


def source_assets(*groups: dg.AssetsDefinition) -> list[dg.AssetSpec]:
    """The external assets that the source patterns of groups are.

    Put them into `Definitions(assets=[...])` beside the groups: so Dagster knows that they have the
    same partitions, and tells "upstream changed" for the one recording that did.

    Raises:
        ConfigError: one of the definitions was not made by `@klio_assets`.
    """
    specs: dict[dg.AssetKey, dg.AssetSpec] = {}
    for assets in groups:
        group = group_of(assets)
        if group is None:
            raise ConfigError(
                "it was not made by @klio_assets",
                where=f"source_assets of '{', '.join(k.to_user_string() for k in assets.keys)}'",
                fix="give it the groups only",
            )
        specs |= {spec.key: spec for spec in group.sources.values()}
    return list(specs.values())


def _partitions_name(partitions_def: object) -> str:
    named = getattr(partitions_def, "name", None)
    if not isinstance(partitions_def, dg.DynamicPartitionsDefinition) or named is None:
        raise ConfigError(
            f"partitions_def is {partitions_def!r}",
            where="klio_assets",
            fix='use dg.DynamicPartitionsDefinition(name="tracks")',
        )
    return named


def _source_specs(
    chain: Chain, translator: KlioTranslator, partitions_def: dg.PartitionsDefinition[str]
) -> dict[str, dg.AssetSpec]:
    patterns = dict.fromkeys(
        pattern for asset in chain.assets for pattern in chain.inputs(asset.name).sources
    )
    specs: dict[str, dg.AssetSpec] = {}
    for pattern in patterns:
        SourcePattern.parse(pattern)
        spec = translator.get_source_spec(pattern)
        specs[pattern] = spec.replace_attributes(partitions_def=partitions_def)
    return specs


def _keys(
    chain: Chain, specs: Mapping[str, dg.AssetSpec], sources: Mapping[str, dg.AssetSpec]
) -> dict[str, str]:
    """Asset key of each asset, outside dependency and source; each key once.

    Raises:
        ConfigError: two of them have the same key, or one cannot name a folder of the store.
    """
    keys = {name: spec.key.to_user_string() for name, spec in (*specs.items(), *sources.items())}
    for asset in chain.assets:
        check_asset(keys[asset.name])
        codec_to_json(asset.output)  # workers could not make another one again
        keys.update({dep: dep for dep in chain.inputs(asset.name).outside})
    owners: dict[str, str] = {}
    for name, key in keys.items():
        # Folded, because the key names a folder and some file systems fold it.
        if owners.setdefault(key.casefold(), name) != name:
            raise ConfigError(
                f"'{owners[key.casefold()]}' and '{name}' have the same asset key '{key}'",
                where="klio_assets",
                fix="rename one, or give it another key in a KlioTranslator",
            )
    return keys


def _deps(
    chain: Chain,
    name: str,
    specs: Mapping[str, dg.AssetSpec],
    sources: Mapping[str, dg.AssetSpec],
    partitions_def: dg.PartitionsDefinition[str],
) -> list[dg.AssetDep]:
    inputs = chain.inputs(name)
    _check_partitions(chain, name, partitions_def)
    return [
        *(dg.AssetDep(specs[dep].key) for dep in inputs.assets),
        *(dg.AssetDep(dg.AssetKey(dep.split("/"))) for dep in inputs.outside),
        *(dg.AssetDep(sources[pattern].key) for pattern in inputs.sources),
    ]


def _check_partitions(
    chain: Chain, name: str, partitions_def: dg.PartitionsDefinition[str]
) -> None:
    """Refuse outside dependencies that are partitioned by something else.

    Raises:
        ConfigError: one is.
    """
    for dep in chain.outside(name):
        other = getattr(dep.definition, "partitions_def", None)
        if other is not None and other != partitions_def:
            raise ConfigError(
                f"'{dep.name}' is partitioned by something else",
                where=chain.part(name).where,
                fix="depend on assets with the same partitions, or on unpartitioned ones",
            )
