"""The plan of a run that others may overlap: made until no claim changed while it was made."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import inf

from klio_dagster.core.plan import Plan
from klio_dagster.defs.knowledge import Gathered, gather
from klio_dagster.defs.reattach import settle_orphans
from klio_dagster.defs.requested import Wanted
from klio_dagster.defs.run import Run
from klio_dagster.ledger.in_flight import InFlight, in_flight
from klio_dagster.ledger.resume import clear_away
from klio_dagster.store.claims import ClaimState

_POLL_S = 0.5
_ASK_AGAIN_S = 30.0  # how a job is that nobody could tell
_POLLING_SHARE = 10  # times what a look takes: a run with many receipts is looked at less often


@dataclass(frozen=True, slots=True)
class Round:
    """What is planned, computed and recorded before anything is waited for.

    Args:
        gathered: what the plan was made from.
        plan: what to do.
        is_first: it is about everything the run was asked for.
    """

    gathered: Gathered
    plan: Plan
    is_first: bool = True


def settled_round(run: Run, wanted: Wanted, selected: Sequence[str]) -> Round:
    """The plan, made anew if a claim that goes before ours changed while it was made.

    Args:
        run: which holds its claim, on all entities of its assets.
        wanted: which entities.
        selected: names of the assets that may run.

    Raises:
        ConfigError: a claim or a listing cannot be read.
        StoreUnavailableError: the store did not answer.
        LedgerError: Dagster's log cannot be read.
    """
    entities, keys = wanted.request.entities, run.keys(selected)
    others = _others(run, keys, entities, run.claim.others)
    while True:
        gathered = gather(
            run.group,
            wanted.request,
            selected,
            ledger=run.ledger,
            store=run.store,
            partitioned=run.partitioned,
            in_flight=others,
            whole=wanted.is_catalogue,
        )
        plan = gathered.plan(run.group)
        # A run that died meanwhile holds nothing any more, and may have finished some of it.
        died, states = _cleared_away(run)
        again = _others(run, keys, entities, states)
        if again.signature == others.signature and not died:
            break
        others = again
    if wanted.state is None:
        return Round(gathered, plan)
    narrowed = gathered.in_state(wanted.state, run.group)
    return Round(narrowed, narrowed.plan(run.group))


def next_round(
    run: Run, wanted: Wanted, waiting: dict[str, tuple[str, ...]], deadline: float
) -> Round | None:
    """The round of what others held; None once the deadline has passed with nothing free.

    Our claim holds nothing meanwhile, so two runs never wait for each other.

    Args:
        run: which has recorded all its own work.
        wanted: what the run was asked for.
        waiting: entity to the assets that wait, upstream first.
        deadline: by the monotonic clock.
    """
    run.claim.release()
    free = _freed(run, waiting, deadline)
    if not free:
        return None
    # Together those that wait for the same assets: what was decided of the others stands.
    names = waiting[free[0]]
    entities = tuple(entity for entity in free if waiting[entity] == names)
    run.claim.renew()
    request = replace(wanted.request, entities=entities)
    return replace(settled_round(run, Wanted(request), names), is_first=False)


def _freed(run: Run, waiting: dict[str, tuple[str, ...]], deadline: float) -> Sequence[str]:
    """The entities nobody before us holds: all of them, or some when a claim has changed."""
    keys = run.keys([name for name in run.selected if any(name in w for w in waiting.values())])
    seen = None
    next_try: dict[str, float] = {}  # of an orphan, by its work id
    while True:
        looked_at = time.monotonic()
        _, states = _cleared_away(run)
        # Their launchers have died since we began to wait.
        orphans = [
            state
            for state in states
            if state.is_orphaned and next_try.get(state.claim.work_id, 0.0) <= looked_at
        ]
        if orphans:
            done = settle_orphans(run, waiting, orphans)
            again_at = time.monotonic() + _ASK_AGAIN_S
            ids = [state.claim.work_id for state in orphans]
            next_try |= {each: inf if each in done else again_at for each in ids}
            continue  # that may have taken hours, and freed much
        others = _others(run, keys, waiting, states)
        held = {entity for _, entity in others.pairs}
        free = [entity for entity in waiting if entity not in held]
        seen = seen or others.signature
        now = time.monotonic()
        is_over = now >= deadline
        if is_over or len(free) == len(waiting) or (free and others.signature != seen):
            return free
        pause_s = max(_POLL_S, _POLLING_SHARE * (now - looked_at))
        time.sleep(min(pause_s, deadline - now))


def _cleared_away(run: Run) -> tuple[list[str], list[ClaimState]]:
    """Ids of the runs that had died, and the claims that are left."""
    run_id = run.context.run.run_id
    return clear_away(run.store, run.ledger, run.context.instance, asking=run_id, ours=run.work_id)


def _others(
    run: Run, keys: Sequence[str], entities: Collection[str], states: Sequence[ClaimState]
) -> InFlight:
    """What the claims that go before ours hold; all others, while ours holds nothing."""
    ours = run.claim.claim
    if not ours.assets:
        ours = replace(ours, created=float("inf"))
    return in_flight(run.store, keys, entities, ours, states=states)
