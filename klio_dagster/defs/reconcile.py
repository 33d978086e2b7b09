"""`build_klio_reconcile_sensor`: a group that follows its inputs, one run for all that changed."""

import hashlib
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from klio_dagster.core.reconcile import News, news
from klio_dagster.core.request import Request, RerunOn
from klio_dagster.defs.group import EntityGroup, entity_group
from klio_dagster.defs.knowledge import Gathered, gather, held_by_others
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.partitions import registered
from klio_dagster.defs.requested import (
    entity_run_tags,
    named_entities,
    partitioned_outside,
)
from klio_dagster.defs.run_config import rerun_reasons
from klio_dagster.defs.sensing import graph_of, resource_keys, resource_of
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals.definitions import job_of_entities
from klio_dagster.ledger.ledger import ledger_of
from klio_dagster.store.claims import read_claims
from klio_dagster.store.layout import request_path
from klio_dagster.store.store import Store

_TICK_S = 60
_LONGEST_PAUSE_S = 3600.0  # between two requests of the very same plan
_TO_CLAIM_S = 300.0  # a run that was launched holds its claim by then, or never will
_NOT_ENDED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_RECONCILES = "klio/reconciles"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the sensor remembers: the plan it requested last.

    Args:
        plan: digest of it.
        times: how often in a row.
        at: when, seconds since the epoch.
        serial: number of the request; makes its run key unlike all before.
    """

    plan: str = ""
    times: int = 0
    at: float = 0.0
    serial: int

    @classmethod
    def of_cursor(cls, cursor: str | None, now: float) -> "_Asked":
        # Somebody may have reset the cursor: numbers given out before must not come again.
        return cls(**json.loads(cursor)) if cursor else cls(serial=int(now))

    def next(self, plan: str, now: float) -> "_Asked":
        times = self.times + 1 if plan == self.plan else 1
        return _Asked(plan=plan, times=times, at=now, serial=self.serial + 1)

    def pause_s(self, plan: str, now: float) -> float:
        """How long to wait before this plan is requested: the same one again did not get done."""
        if plan != self.plan or now < self.at:  # or the clock was set back
            return 0.0
        return max(0.0, self.at + min(_TICK_S * 2.0**self.times, _LONGEST_PAUSE_S) - now)

    def to_cursor(self) -> str:
        fields = {"plan": self.plan, "times": self.times, "at": self.at, "serial": self.serial}
        return json.dumps(fields)


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
    group = entity_group(assets, where="build_klio_reconcile_sensor")
    reasons = rerun_reasons(rerun_on, where="build_klio_reconcile_sensor")
    most = group.max_entities_per_run if max_entities_per_run is None else max_entities_per_run
    if most < 1:
        raise ConfigError(
            f"max_entities_per_run is {most}",
            where="build_klio_reconcile_sensor",
            fix="use 1 or more",
        )
    named = name or f"reconcile_{group.name}"
    job = job_of_entities(
        dg.define_asset_job(
            named,
            selection=dg.AssetSelection.assets(assets),
            description=f"What the sensor of this name requests of '{group.name}'.",
        )
    )

    def evaluate(context: dg.SensorEvaluationContext, **_resources: object) -> dg.SensorResult:
        tick = _Tick(context, group, resource_of(context, assets).open_store(), named, time.time())
        return tick.result(reasons, most)

    return dg.SensorDefinition(
        name=named,
        job=job,
        evaluation_fn=evaluate,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        required_resource_keys=resource_keys(assets),
        description=f"Asks for what has become missing or stale in '{group.name}', in one run.",
    )


@dataclass(frozen=True, slots=True)
class _Tick:
    """One evaluation of the sensor.

    Args:
        context: Dagster's.
        group: what is followed.
        store: where it lies.
        name: of the sensor.
        now: seconds since the epoch.
    """

    context: dg.SensorEvaluationContext
    group: EntityGroup
    store: Store
    name: str
    now: float

    def result(self, rerun_on: frozenset[RerunOn], most: int) -> dg.SensorResult:
        """What to request, or why nothing."""
        if under_way := self._run_under_way():
            return dg.SensorResult(skip_reason=f"run {under_way}, requested before, has not ended")
        gathered, found = self._news(rerun_on)
        if not found.wanted:
            return dg.SensorResult(skip_reason=str(found))
        wanted = found.wanted[:most]
        plan = _digest(self.group, gathered, wanted)
        asked = _Asked.of_cursor(self.context.cursor, self.now)
        if pause_s := asked.pause_s(plan, self.now):
            return dg.SensorResult(
                skip_reason=f"{found}; requested {asked.times} times and not done:"
                f" again in {pause_s:.0f} s"
            )
        self.context.log.info(f"{found}; {len(wanted):,} requested")
        request = self._request(wanted, rerun_on, f"{plan}/{asked.serial}")
        return dg.SensorResult(
            run_requests=[request], cursor=asked.next(plan, self.now).to_cursor()
        )

    def _run_under_way(self) -> str | None:
        """A run that was requested before and is alive."""
        wanted = dg.RunsFilter(tags={_RECONCILES: self.name}, statuses=list(_NOT_ENDED))
        records = self.context.instance.get_run_records(wanted)
        alive = {s.claim.run_id for s in read_claims(self.store) if s.is_alive} if records else ()
        for record in records:
            run = record.dagster_run
            # One that was killed stays "started" until the next run buries it: that is ours.
            # An hour from now is as long ago: the clock was set back.
            is_young = abs(self.now - record.update_timestamp.timestamp()) < _TO_CLAIM_S
            is_queued = run.status is dg.DagsterRunStatus.QUEUED
            if is_queued or is_young or run.run_id in alive:
                return run.run_id
        return None

    def _news(self, rerun_on: frozenset[RerunOn]) -> tuple[Gathered, News]:
        group, graph = self.group, graph_of(self.context)
        request = Request(
            entities=tuple(registered(self.context.instance, group.partitions)), rerun_on=rerun_on
        )
        names = [asset.name for asset in group.chain.assets]
        gathered = gather(
            group,
            request,
            names,
            ledger=ledger_of(self.context.instance, describe=metadata_of),
            store=self.store,
            partitioned=partitioned_outside(group, graph),
            in_flight=held_by_others(
                self.store, [group.keys[name] for name in names], request.entities
            ),
        )
        return gathered, news(gathered.plan(group), group.chain, gathered.knowledge)

    def _request(
        self, wanted: Sequence[str], rerun_on: frozenset[RerunOn], run_key: str
    ) -> dg.RunRequest:
        file = request_path(run_key.replace("/", "-"))
        config: dict[str, Any] = {
            **named_entities(self.store, wanted, file),
            "rerun_on": sorted(reason.value for reason in rerun_on),
        }
        return dg.RunRequest(
            run_key=run_key,
            run_config={"ops": {self.group.name: {"config": config}}},
            tags={**entity_run_tags(str(len(wanted))), _RECONCILES: self.name},
        )


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
