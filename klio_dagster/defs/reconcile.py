"""`build_klio_reconcile_sensor`: a group that follows its inputs, one run for all that changed."""

import hashlib
import json
import time
from collections.abc import Collection, Sequence

import dagster as dg

from klio_dagster.core.reconcile import News, news
from klio_dagster.core.request import Request, RerunOn
from klio_dagster.defs.asking import Asking, Wish, entity_sensor, most_of_a_run
from klio_dagster.defs.group import EntityGroup, entity_group
from klio_dagster.defs.knowledge import Gathered, gather, held_by_others
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.partitions import registered
from klio_dagster.defs.requested import partitioned_outside
from klio_dagster.defs.run_config import rerun_reasons
from klio_dagster.defs.sensing import graph_of, resource_of
from klio_dagster.ledger.ledger import ledger_of

_TICK_S = 60
_RECONCILES = "klio/reconciles"
_WHERE = "build_klio_reconcile_sensor"


def build_klio_reconcile_sensor(
    *,
    assets: dg.AssetsDefinition,
    name: str | None = None,
    rerun_on: Collection[str] = (RerunOn.INPUT,),
    max_entities_per_run: int | None = None,
    minimum_interval_seconds: int = _TICK_S,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
) -> dg.SensorDefinition:
    """A sensor that asks for what has become missing or stale in a group, in one run.

    Each tick plans the whole catalogue as `klio plan` does. It asks for entities that are new,
    whose recording changed, or whose input another group made anew, in whatever code location.
    What failed is asked for again once its code or an input has changed, and not before.

    Args:
        assets: the group that `@klio_assets` made.
        name: of the sensor and of the job it requests; `reconcile_<group>` when None.
        rerun_on: changes that make finished work stale; add `code_changed` to compute the catalogue
            again, run by run, after each change of a transform.
        max_entities_per_run: bounds one run, >= 1; that of the group when None.
        minimum_interval_seconds: between two ticks.
        default_status: whether it ticks before somebody has switched it on.

    Raises:
        ConfigError: `@klio_assets` did not make the assets, or an option is wrong.
    """
    group = entity_group(assets, where=_WHERE)
    reasons = rerun_reasons(rerun_on, where=_WHERE)
    most = most_of_a_run(group, max_entities_per_run, where=_WHERE)
    named = name or f"reconcile_{group.name}"

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        store = resource_of(context, assets).open_store()
        asking = Asking(context, group, store, named, _RECONCILES, time.time())
        return _tick(asking, reasons, most)

    return entity_sensor(
        assets,
        evaluate,
        name=named,
        description=f"Asks for what has become missing or stale in '{group.name}', in one run.",
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
    )


def _tick(asking: Asking, rerun_on: frozenset[RerunOn], most: int) -> dg.SensorResult:
    """What to request, or why nothing."""
    if run_id := asking.under_way():
        return dg.SensorResult(skip_reason=f"run {run_id}, requested before, has not ended")
    gathered, found = _news(asking, rerun_on)
    if not found.wanted:
        return dg.SensorResult(skip_reason=str(found))
    wanted = found.wanted[:most]
    plan = _digest(asking.group, gathered, wanted)
    return asking.ask(Wish(entities=wanted, plan=plan, said=str(found), rerun_on=rerun_on))


def _news(asking: Asking, rerun_on: frozenset[RerunOn]) -> tuple[Gathered, News]:
    group, graph = asking.group, graph_of(asking.context)
    instance = asking.context.instance
    request = Request(entities=tuple(registered(instance, group.partitions)), rerun_on=rerun_on)
    names = [asset.name for asset in group.chain.assets]
    keys = [group.keys[name] for name in names]
    gathered = gather(
        group,
        request,
        names,
        ledger=ledger_of(instance, describe=metadata_of),
        store=asking.store,
        partitioned=partitioned_outside(group, graph),
        in_flight=held_by_others(asking.store, keys, request.entities),
    )
    return gathered, news(gathered.plan(group), group.chain, gathered.knowledge)


def _digest(group: EntityGroup, gathered: Gathered, wanted: Sequence[str]) -> str:
    """Of what is wanted and why: equal as long as nothing about these entities changes."""
    knowledge = gathered.knowledge
    seen = hashlib.sha256()

    def add(*values: object) -> None:
        seen.update(json.dumps(values, default=str).encode())

    add(group.name, sorted(group.code_versions.items()), sorted(knowledge.shared_versions.items()))
    for entity in wanted:
        add(entity)
        for pattern, versions in knowledge.sources.items():
            add(pattern, versions.get(entity))
        for name, records in knowledge.records.items():
            record = records.get(entity)
            add(name, record and (record.data_version, record.failed))
    return seen.hexdigest()[:16]
