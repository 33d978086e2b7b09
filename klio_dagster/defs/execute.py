"""The way through: request, plan, manifest, launch, receipts, ledger."""

import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from klio_dagster.core.plan import Decision
from klio_dagster.defs.again import known_already
from klio_dagster.defs.computing import compute
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.listening import tell, when_interrupted
from klio_dagster.defs.looks import looked_at
from klio_dagster.defs.messages import Postman, finish, outbox_of, passing_on, telling_of
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.observations import observe_sources
from klio_dagster.defs.passing_on import PassingOn
from klio_dagster.defs.planning import Round, next_round, settled_round
from klio_dagster.defs.reattach import settle_orphans
from klio_dagster.defs.requested import partitioned_outside, planned_partitions, wanted_by
from klio_dagster.defs.run import Run
from klio_dagster.defs.run_config import KlioRunConfig
from klio_dagster.defs.run_page import show_on_page
from klio_dagster.defs.strays import strays, told_of_strays
from klio_dagster.defs.summary import Summary, failure_of
from klio_dagster.defs.tasks import planned_failures, refusals
from klio_dagster.defs.telling import Telling
from klio_dagster.errors import (
    ClaimLostError,
    JobLeftError,
    KlioError,
    LedgerError,
)
from klio_dagster.ledger.adopted import adopt_store
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.internals.definitions import is_only_op, partitions_by_key
from klio_dagster.ledger.ledger import Ledger, ledger_of
from klio_dagster.ledger.resume import fold_dead_runs, settle
from klio_dagster.ledger.run_process import executing_process, process_tags, report_gone_runs
from klio_dagster.store.heartbeat import Heartbeat
from klio_dagster.store.layout import failures_path, summary_path, work_id_of
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.outbox import forget_published
from klio_dagster.store.receipts import check_store, compact
from klio_dagster.store.store import Store

_SUBSETS = "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"


@contextmanager
def _telling_of_interrupts() -> Iterator[None]:
    try:
        yield
    except dg.DagsterExecutionInterruptedError:
        when_interrupted.get()()
        raise


@_telling_of_interrupts()
def execute(
    context: dg.AssetExecutionContext,
    group: EntityGroup,
    store: Store,
    engine: dict[str, Any],
    postman: Postman,
) -> None:
    """Compute what the run asks for and is not done yet, and record it.

    Raises:
        Failure: an entity failed; everything is recorded.
        ClaimLostError: others took the run for dead; they recorded what it had finished.
        ConfigError: the request, the store or the engine is configured wrongly.
        EntitiesInFlightError: another process is executing the same run.
        LedgerError: Dagster's log does not work; the next run records what was finished.
        PubSubError: what is recorded could not be passed on; the next run does that.
        RunError: the driver could not go on; what it finished is recorded.
    """
    started = time.monotonic()
    check_store(store)
    ledger = ledger_of(context.instance, context, describe=metadata_of)
    identity = RunIdentity.of_context(context)
    selected = group.names_of(key.to_user_string() for key in context.selected_asset_keys)
    keys = [group.keys[name] for name in selected]
    looked = looked_at(context, group)
    config = KlioRunConfig(**dict(context.op_execution_context.op_config or {}))
    touched = keys or [group.keys[name] for name in looked]
    adopt_store(store, context.instance, touched, allow_new=config.allow_new_ledger)
    _tag(context)
    _settle_the_dead(context, store, ledger)
    # Before anything is held: a topic that does not answer may take its time.
    tells = telling_of(context, group, store, postman)
    # Written before the ledger is read: a run that plans later sees us.
    claim = open_claim(
        store,
        context.run.run_id,
        assets=keys,
        work_id=_work_id(context, group),
        engine=str(engine["kind"]),
        seen=ledger.newest_event(touched),
        outbox=outbox_of(group, config),
    )
    with Heartbeat(claim) as heartbeat:
        run = Run(
            context=context,
            group=group,
            selected=selected,
            looked_at=looked,
            partitioned=partitioned_outside(group, partitions_by_key(context)),
            partitions=planned_partitions(context),
            store=store,
            engine=engine,
            ledger=ledger,
            identity=identity,
            claim=claim,
            confirm=heartbeat.confirm,
        )
        summary = _settled_if_it_breaks(run, config.max_wait_s, tells)
        report = json.dumps(summary.to_json(context.run.run_id, time.monotonic() - started))
        store.put(summary_path(run.work_id), report.encode())
        claim.close()
    list_uri = store.uri(failures_path(run.work_id))
    show_on_page(context, identity, summary, list_uri)
    if summary.has_failures:
        if summary.unpublished is not None:
            context.log.warning(str(summary.unpublished))
        raise failure_of(summary, list_uri)
    if summary.unpublished is not None:
        raise summary.unpublished


def _tag(context: dg.AssetExecutionContext) -> None:
    """Say of the run who executes it, and that it is not to be tried again as a whole.

    Also for runs from the UI: trying the whole run again would try what failed for good.
    """
    tags = {"dagster/retry_on_asset_or_op_failure": "false"}
    tags |= process_tags(context.run.run_id, executing_process(context))
    context.instance.add_run_tags(context.run.run_id, tags)
    if os.environ.get(_SUBSETS):
        context.log.warning(f"{_SUBSETS} is set: unset it, or failed entities are not shown failed")


def _settle_the_dead(context: dg.AssetExecutionContext, store: Store, ledger: Ledger) -> None:
    """Record what runs that died had finished, and that they died."""
    died = fold_dead_runs(store, ledger, context.instance, asking=context.run.run_id)
    for run_id in [*died, *report_gone_runs(context.instance)]:
        context.log.info(f"run {run_id} had died; what it finished is recorded")


def _settled_if_it_breaks(run: Run, max_wait_s: float, tells: Telling) -> Summary:
    """What comes of the run; whatever breaks it, what was finished is recorded.

    Then the entities are free. If even that fails the claim stays, and the next run does both; if
    the claim was lost, another run has done both.
    """
    try:
        return _under_claim(run, max_wait_s, tells)
    except (LedgerError, JobLeftError):  # the next run records what was and what will be finished
        raise
    except BaseException:
        run.confirm()
        settle(run.store, run.ledger, run.identity, run.claim.claim)
        run.claim.close()
        forget_published(run.store, run.work_id)
        raise


def _work_id(context: dg.AssetExecutionContext, group: EntityGroup) -> str:
    """Each group of one run has folders of its own: executors may work on several at once."""
    return work_id_of(context.run.run_id, None if is_only_op(context) else group.name)


def _under_claim(run: Run, max_wait_s: float, tells: Telling) -> Summary:
    """Plan, compute and record while the claim holds; a kill at any line loses nothing finished."""
    wanted = wanted_by(run.context, run.group, run.store)
    passing = passing_on(run, wanted, tells)
    first = settled_round(run, wanted, run.selected)
    summary = Summary(first.plan, run.group.keys, refusals(first.plan))
    summary.sources = strays(wanted, first.gathered)
    for line in told_of_strays(summary.sources):
        run.context.log.info(line)
    run.confirm()
    observe_sources(run.ledger, run.identity, run.group, first.gathered)
    _carry_out(run, first, summary, passing)
    # Only now, with all own work recorded, for what others hold.
    waiting = first.plan.waiting()
    if any(state.is_orphaned for state in run.claim.others):
        run.claim.release()  # nobody waits for us while we watch the jobs of others
        settle_orphans(run, waiting, run.claim.others)
    deadline = time.monotonic() + max_wait_s
    if waiting:
        line = f"waiting for {_holders(run, first)} to finish {len(waiting)} of the entities"
        run.context.log.info(line)
        tell.get()(f"{line}, at most {max_wait_s:g} s")
    while waiting and (later := next_round(run, wanted, waiting, deadline)):
        _carry_out(run, later, summary, passing)
        summary.plan = summary.plan.with_later(later.plan)
        summary.refuse(refusals(later.plan))
        waiting = {e: names for e, names in waiting.items() if e not in later.plan.entities}
        waiting |= later.plan.waiting()
    if summary.has_failures:
        run.store.put(failures_path(run.work_id), summary.failure_lines())
    run.confirm()
    summary.unpublished = finish(run, passing, summary.plan, first.gathered.in_flight)
    return summary


def _holders(run: Run, planned: Round) -> str:
    """The runs that hold what a round waits for, in words."""
    held = planned.gathered.in_flight.pairs
    holders = [
        held[run.group.keys[name], entity].claim.run_id
        for name, entity, reason in planned.plan.pairs(Decision.WAIT)
        if reason == "in_flight"
    ]
    return " and ".join(f"run {run_id}" for run_id in dict.fromkeys(holders))


def _carry_out(run: Run, planned: Round, summary: Summary, passing: PassingOn) -> None:
    """Compute and record one round."""
    before = set(summary.failed_pairs)
    clock = run.claim.clock
    failures = planned_failures(planned.plan, run.group, planned.gathered, run.work_id, clock)
    # While the claim still holds every entity: nobody makes anything newer than what is copied,
    # nor takes an entity down whose failure would be recorded after it.
    run.confirm()
    run.ledger.record_again(run.identity, known_already(planned, run.group, run.partitions))
    run.ledger.record(run.identity, failures)
    summary.add(failures)
    # At once: they have no receipt that would mark them if the run breaks.
    planned_to_fail = _mark_failed(run, summary, before)
    unrecorded = [receipt.pair for receipt in planned.gathered.in_flight.receipts]
    with _leaving_unsent(run, passing):
        passing.planned(planned.plan, unrecorded)
        is_computed = compute(run, planned, summary, passing)
    _mark_failed(run, summary, before | planned_to_fail)
    if is_computed:
        compact(run.store, run.work_id)  # all of it is recorded: no plan reads it again


@contextmanager
def _leaving_unsent(run: Run, passing: PassingOn) -> Iterator[None]:
    """At the end, what could not be published lies in the outbox.

    What comes next holds other entities, and would forget these.
    """
    try:
        yield
    except ClaimLostError:  # whoever took the run for dead has seen to that
        raise
    except BaseException:
        try:
            passing.leave_unsent()
        except KlioError as error:  # what broke the run is the news
            run.context.log.warning(str(error))
        raise
    passing.leave_unsent()


def _mark_failed(
    run: Run, summary: Summary, marked: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Have Dagster show the pairs failed that are not marked yet, and list them for people."""
    failed = [pair for pair in summary.failed_pairs if pair not in marked]
    if failed:
        run.confirm()
        run.ledger.mark_failed(run.identity, failed)
        run.store.put(failures_path(run.work_id), summary.failure_lines())
    return set(failed)
