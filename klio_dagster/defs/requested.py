"""Which entities a run is asked for: its partitions, its run config, or a manifest of them."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from klio_dagster.core.ids import id_problem
from klio_dagster.core.letter import Asked
from klio_dagster.core.request import Request, RerunOn
from klio_dagster.core.state import State
from klio_dagster.core.wording import did_you_mean
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.partitions import register
from klio_dagster.defs.run_config import KlioRunConfig
from klio_dagster.errors import ConfigError
from klio_dagster.store.inbox import Batch, read_batch
from klio_dagster.store.outbox import published
from klio_dagster.store.removed import removed_entities
from klio_dagster.store.store import Store

ENTITY_RUN_TAG = "dagster/defer_asset_events"  # Dagster then plans no partitions for the run
_SHOWN_IDS = 3
_MOST_INLINE = 1000  # ids in a run config: the UI shows all of it on one page


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is asked for.

    Args:
        request: the entities to plan.
        state: of these only the ones in this state are meant; None: all of them.
        is_catalogue: the entities are those of the whole catalogue.
        batch: the messages that ask; None in a run that nobody asked for by messages.
        asked: what they ask, entity by entity.
    """

    request: Request
    state: State | None = None
    is_catalogue: bool = False
    batch: Batch | None = None
    asked: Sequence[Asked] = ()


def wanted_by(context: dg.AssetExecutionContext, group: EntityGroup, store: Store) -> Wanted:
    """What Dagster's context and the run config ask for.

    Raises:
        ConfigError: nothing is asked for, or an entity is not in the catalogue.
    """
    config = KlioRunConfig(**dict(context.op_execution_context.op_config or {}))
    if config.manifest is not None and (batch := Batch.at(config.manifest)):
        return _asked_by(batch, config, group, store, context.instance)
    partitions = _partitions(context)
    known = context.instance.get_dynamic_partitions(group.partitions)
    if config.manifest is not None:
        entities = _listed(store, config.manifest)
        return Wanted(_request(config, in_catalogue(entities, known, group.partitions, store)))
    asked = config.checked_entities()
    if asked is None:
        if partitions is None:
            raise ConfigError(
                "it names no entities",
                where=f"run of '{group.name}'",
                fix='select partitions, or set entities in the run config, for instance "all"',
            )
        return Wanted(_request(config, partitions))
    if isinstance(asked, list):
        return Wanted(_request(config, in_catalogue(asked, known, group.partitions, store)))
    state = None if asked == "all" else State(asked)
    return Wanted(_request(config, partitions or known), state, is_catalogue=not partitions)


def _asked_by(
    batch: Batch,
    config: KlioRunConfig,
    group: EntityGroup,
    store: Store,
    instance: dg.DagsterInstance,
) -> Wanted:
    """What a batch of messages asks for; nothing if somebody else has settled it."""
    asked = read_batch(store, batch) or []
    register_asked(instance, group.partitions, asked, removed=removed_entities(store))
    request = request_of(asked, _rerun_on(config))
    # What a run before this one recorded and passed on was forced then.
    forced = request.forced - published(store, batch.id)
    return Wanted(replace(request, forced=forced), batch=batch, asked=asked)


def request_of(asked: Sequence[Asked], rerun_on: frozenset[RerunOn]) -> Request:
    """The request that messages make."""
    return Request(
        entities=tuple(each.entity for each in asked),
        forced=frozenset(each.entity for each in asked if each.force),
        pinged=frozenset(each.entity for each in asked if each.ping),
        may_ask_upstream=frozenset(each.entity for each in asked if each.letters),
        rerun_on=rerun_on,
    )


def register_asked(
    instance: dg.DagsterInstance,
    catalogue: str,
    asked: Iterable[Asked],
    *,
    removed: Collection[str],
) -> int:
    """Register the entities that messages name, but for those that were taken down.

    Returns:
        How many are new.
    """
    # A message only follows an entity's way; it does not begin one.
    named = [each.entity for each in asked if each.entity not in removed and not each.ping]
    return register(instance, catalogue, named) if named else 0


def entity_run_tags(entities: str) -> dict[str, str]:
    """Tags of a run that names its entities itself.

    Args:
        entities: how many, or in which state, for people.
    """
    return {
        # The op records its events itself, in batches; and what failed is not tried again
        # before somebody has looked at it.
        ENTITY_RUN_TAG: "true",
        "dagster/retry_on_asset_or_op_failure": "false",
        "klio/entities": entities,
    }


def named_entities(store: Store, entities: Sequence[str], file: str) -> dict[str, Any]:
    """The part of a run config that names entities: in place, or many of them in a file.

    Args:
        store: where the run reads it.
        entities: entity ids.
        file: path in the store, written if there are many.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: the store did not answer.
    """
    if len(entities) <= _MOST_INLINE:
        return {"entities": list(entities)}
    lines = (json.dumps({"entity": entity}).encode() + b"\n" for entity in entities)
    store.put(file, b"".join(lines))
    return {"manifest": file}


def planned_partitions(context: dg.AssetExecutionContext) -> Sequence[str]:
    """The partitions for each of which Dagster waits for an event of this run, failed otherwise.

    None in a run that names its entities itself: it says so in a tag.
    """
    if context.run.tags.get(ENTITY_RUN_TAG) == "true":
        return ()
    return _partitions(context) or ()


def in_catalogue(
    entities: Sequence[str], known: Iterable[str], catalogue: str, store: Store
) -> Sequence[str]:
    """The entities, each once, if they are registered.

    Ids that break the rules and those that were taken down stay in: the plan refuses them, one by
    one.

    Raises:
        ConfigError: some are not registered.
    """
    entities = list(dict.fromkeys(entities))
    registered = set(known)
    unknown = [e for e in entities if e not in registered and id_problem(e) is None]
    if unknown:
        removed = removed_entities(store)
        unknown = [entity for entity in unknown if entity not in removed]
    if unknown:
        shown = ", ".join(repr(entity) for entity in unknown[:_SHOWN_IDS])
        more = f" and {len(unknown) - _SHOWN_IDS} more" if len(unknown) > _SHOWN_IDS else ""
        close = did_you_mean(unknown[0], registered) if len(unknown) == 1 else None
        meant = f"{close} If not, " if close else ""
        raise ConfigError(
            f"{shown}{more} not in it",
            where=f"catalogue '{catalogue}'",
            fix=f"{meant}register with `klio entities add` or `klio entities sync`",
        )
    return entities


def partitioned_outside(
    group: EntityGroup, partitions: Mapping[str, dg.PartitionsDefinition[str] | None]
) -> Collection[str]:
    """Keys of the outside dependencies that have the group's partitions.

    Args:
        group: the group.
        partitions: key of each asset that the code location defines to its partitions.

    Raises:
        ConfigError: one is partitioned by something else, or nobody says whether it is partitioned.
    """
    found: set[str] = set()
    for asset in group.chain.assets:
        for dep in group.chain.outside(asset.name):
            key = dep.name
            if key not in partitions and dep.definition is None:
                path = repr(key.split("/") if "/" in key else key)
                raise ConfigError(
                    f"'{key}' is not defined in this code location",
                    where=asset.where,
                    fix=f"put dg.AssetSpec({path}, partitions_def=...) beside the group, without"
                    " partitions_def if it has none",
                )
            given = getattr(dep.definition, "partitions_def", None)
            other = partitions.get(key, given)
            if other is None:
                continue
            same = isinstance(other, dg.DynamicPartitionsDefinition)
            if not same or other.name != group.partitions:
                raise ConfigError(
                    f"'{key}' is partitioned by something else",
                    where=asset.where,
                    fix="depend on assets with the same partitions, or on unpartitioned ones",
                )
            found.add(key)
    return found


def _partitions(context: dg.AssetExecutionContext) -> Sequence[str] | None:
    if context.has_partition_key or context.has_partition_key_range:
        return list(context.partition_keys)
    return None


def _request(config: KlioRunConfig, entities: Sequence[str]) -> Request:
    return Request(
        entities=tuple(entities),
        force=config.force,
        rerun_on=_rerun_on(config),
    )


def _rerun_on(config: KlioRunConfig) -> frozenset[RerunOn]:
    return frozenset(RerunOn(reason) for reason in config.rerun_on)


def _listed(store: Store, path: str) -> list[str]:
    """The entities of a JSON-lines file in the store.

    Raises:
        ConfigError: it is not there, or a line is not `{"entity": "<id>"}`.
    """
    data = store.get_or_none(path)
    if data is None:
        raise ConfigError("it is not there", where=store.uri(path), fix="check `manifest`")
    entities: list[str] = []
    # Bytes: a text would also be split at U+2028, which JSON allows inside of an id.
    for number, line in enumerate(data.splitlines(), start=1):
        entity = _entity_in(line)
        if entity is None:
            raise ConfigError(
                f"line {number} is no entity",
                where=store.uri(path),
                fix='write a line like {"entity": "track-1"} for each',
            )
        entities.append(entity)
    return entities


def _entity_in(line: bytes) -> str | None:
    try:
        match json.loads(line.decode()):
            case {"entity": str(entity)}:
                return entity
            case _:
                return None
    except ValueError:
        return None
