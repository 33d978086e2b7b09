"""The way through: request, plan, manifest, launch, receipts, ledger."""

import json
import os
import time
from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import dagster as dg

from klio_dagster.core.manifest import Manifest
from klio_dagster.core.plan import Decision, Plan
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.knowledge import Gathered, gather
from klio_dagster.defs.looks import looked_at, write_looks
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.observations import observe_sources
from klio_dagster.defs.recorder import Recorder
from klio_dagster.defs.requested import partitioned_outside, wanted_by
from klio_dagster.defs.summary import Summary, failure_of
from klio_dagster.defs.tasks import planned_failures, refusals, write_manifest
from klio_dagster.engine.launch import carry_out
from klio_dagster.engine.progress import Progress
from klio_dagster.errors import EntitiesInFlightError, RunError
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.in_flight import InFlight, in_flight
from klio_dagster.ledger.internals.definitions import is_only_op, partitions_by_key
from klio_dagster.ledger.ledger import Ledger, ledger_of
from klio_dagster.ledger.resume import fold_dead_runs, settle
from klio_dagster.store.claims import OpenClaim, open_claim, store_time
from klio_dagster.store.heartbeat import Heartbeat
from klio_dagster.store.layout import failures_path, manifest_head, summary_path, work_id_of
from klio_dagster.store.receipts import check_store, compact
from klio_dagster.store.store import Store

_SUBSETS = "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"

watch_progress: ContextVar[Callable[[Progress], None]] = ContextVar("watch_progress")
"""Told of the progress of runs that are executed in this process; set by `klio run`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What one run of a group works with."""

    context: dg.AssetExecutionContext
    group: EntityGroup
    selected: Sequence[str]
    looked_at: Sequence[str]
    partitioned: Collection[str]
    store: Store
    engine: dict[str, Any]
    ledger: Ledger
    identity: RunIdentity
    work_id: str

    @property
    def keys(self) -> list[str]:
        return [self.group.keys[name] for name in self.selected]


def execute(
    context: dg.AssetExecutionContext, group: EntityGroup, store: Store, engine: dict[str, Any]
) -> None:
    """Compute what the run asks for and is not done yet, and record it.

    Raises:
        Failure: an entity failed; everything is recorded.
        ConfigError: the request, the store or the engine is configured wrongly.
        EntitiesInFlightError: another live run is computing some of these entities.
        RunError: the driver could not go on; what it finished is recorded.
    """
    started = time.monotonic()
    check_store(store)
    run = _Run(
        context=context,
        group=group,
        selected=group.names_of(key.to_user_string() for key in context.selected_asset_keys),
        looked_at=looked_at(context, group),
        partitioned=partitioned_outside(group, partitions_by_key(context)),
        store=store,
        engine=engine,
        ledger=ledger_of(context.instance, context, describe=metadata_of),
        identity=RunIdentity.of_context(context),
        work_id=_work_id(context, group),
    )
    # Also for runs from the UI: trying the whole run again would try what failed for good.
    context.instance.add_run_tags(
        context.run.run_id, {"dagster/retry_on_asset_or_op_failure": "false"}
    )
    if os.environ.get(_SUBSETS):
        context.log.warning(f"{_SUBSETS} is set: unset it, or failed entities are not shown failed")
    for run_id in fold_dead_runs(store, run.ledger, context.instance):
        context.log.info(f"run {run_id} had died; what it finished is recorded")
    # Written before the ledger is read: a run that plans later sees us.
    claim = open_claim(store, context.run.run_id, assets=run.keys, work_id=run.work_id)
    with Heartbeat(claim):
        try:
            summary = _under_claim(run, claim)
        except BaseException:
            # What was finished is recorded, then the entities are free. If even that fails the
            # claim stays, and the next run does both.
            settle(store, run.ledger, run.identity, run.work_id)
            claim.close()
            raise
        report = json.dumps(summary.to_json(context.run.run_id, time.monotonic() - started))
        store.put(summary_path(run.work_id), report.encode())
        claim.close()
    context.log.info(str(summary))
    if summary.has_failures:
        raise failure_of(summary, store.uri(failures_path(run.work_id)))


def _work_id(context: dg.AssetExecutionContext, group: EntityGroup) -> str:
    """Each group of one run has folders of its own: executors may work on several at once."""
    return work_id_of(context.run.run_id, None if is_only_op(context) else group.name)


def _under_claim(run: _Run, claim: OpenClaim) -> Summary:
    """Plan, compute and record while the claim holds; a kill at any line loses nothing finished."""
    gathered, plan = _settled_plan(run, claim)
    _refuse_to_wait(plan, run.group, gathered.in_flight)
    observe_sources(run.ledger, run.identity, run.group, gathered)
    summary = Summary(plan, run.group.keys, refusals(plan))
    _compute(run, claim, plan, gathered, summary)
    failures = planned_failures(plan, run.group, gathered, run.work_id, time.time)
    run.ledger.record(run.identity, failures)
    summary.add(failures)
    if summary.has_failures:
        run.ledger.mark_failed(run.identity, summary.failed_pairs)
        run.store.put(failures_path(run.work_id), summary.failure_lines())
    compact(run.store, run.work_id)  # all of it is recorded: no plan reads it again
    return summary


def _settled_plan(run: _Run, claim: OpenClaim) -> tuple[Gathered, Plan]:
    """The plan, made anew if a claim that goes before ours appeared while it was made."""
    wanted = wanted_by(run.context, run.group, run.store)
    entities = wanted.request.entities
    others = in_flight(run.store, run.keys, entities, claim.claim, now=store_time(run.store))
    while True:
        gathered = gather(
            run.group,
            wanted.request,
            run.selected,
            ledger=run.ledger,
            store=run.store,
            partitioned=run.partitioned,
            in_flight=others,
        )
        plan = gathered.plan(run.group)
        # A run that died meanwhile holds nothing any more, and may have finished some of it.
        died = fold_dead_runs(run.store, run.ledger, run.context.instance)
        again = in_flight(run.store, run.keys, entities, claim.claim, now=store_time(run.store))
        if again.runs == others.runs and not died:
            break
        others = again
    if wanted.state is None:
        return gathered, plan
    narrowed = gathered.in_state(wanted.state, run.group)
    return narrowed, narrowed.plan(run.group)


def _refuse_to_wait(plan: Plan, group: EntityGroup, others: InFlight) -> None:
    """Stop when another live run computes some of these entities.

    Raises:
        EntitiesInFlightError: it does.
    """
    waiting = [
        (others.pairs[group.keys[name], entity], entity)
        for name, entity, reason in plan.pairs(Decision.WAIT)
        if reason == "in_flight"
    ]
    if waiting:
        state = waiting[0][0]
        held = {entity for holder, entity in waiting if holder is state}
        raise EntitiesInFlightError(
            f"it is computing {len(held)} of the entities asked for ({state.why})",
            where=f"run {state.claim.run_id}",
            fix="wait for it to end, or terminate it, then run again",
        )


def _compute(run: _Run, claim: OpenClaim, plan: Plan, gathered: Gathered, summary: Summary) -> None:
    """Have a driver compute what the plan runs, and record receipts as they come."""
    written = _written(run, plan, gathered)
    if written is None:
        return
    manifest, outputs = written
    claim.set_manifest(manifest_head(run.work_id))
    run.context.log.info(f"{'checking' if run.looked_at else 'computing'} {outputs} outputs")
    progress = Progress(outputs, time.monotonic)
    recorder = Recorder(
        run.ledger,
        run.identity,
        summary,
        progress,
        say=run.context.log.info,
        watch=watch_progress.get(_nobody),
    )
    carry_out(manifest, run.store, on_receipts=recorder.add, on_output=_print_output)
    recorder.flush()
    if progress.left:
        raise RunError(
            f"{progress.left} outputs have no receipt",
            where=f"run {run.identity.run_id}",
            fix="what is done stays done: run again, and report this",
        )


def _written(run: _Run, plan: Plan, gathered: Gathered) -> tuple[Manifest, int] | None:
    """The manifest of what is to be computed, or checked again, and of how many outputs."""
    if run.looked_at:
        entities = gathered.request.entities
        manifest, outputs = write_looks(
            run.store, run.work_id, run.engine, run.group, run.looked_at, entities, run.ledger
        )
        return (manifest, outputs) if outputs else None
    outputs = sum(1 for _ in plan.pairs(Decision.RUN))
    if not outputs:
        return None
    return write_manifest(run.store, run.work_id, run.engine, plan, run.group, gathered), outputs


def _nobody(_progress: Progress) -> None:
    """Nobody watches."""


def _print_output(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what user code printed, into Dagster's compute logs
