"""Messages whose input was asked for upstream: back into the inbox once it has come."""

import time
from collections.abc import Callable, Iterator

import dagster as dg

from klio_dagster.core.letter import Asked
from klio_dagster.core.request import Request
from klio_dagster.defs.knowledge import gather, held_by_others
from klio_dagster.defs.requested import partitioned_outside
from klio_dagster.defs.sensing import graph_of
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.kept import Waiting, all_waiting
from klio_dagster.store.layout import waiting_path
from klio_dagster.store.store import Store
from klio_dagster.streaming.bury import put_all
from klio_dagster.streaming.dead_letter import DeadLetter
from klio_dagster.streaming.settings import SensorSettings


def let_wait_no_longer(
    context: dg.SensorEvaluationContext,
    settings: SensorSettings,
    store: Store,
    ledger: Callable[[], Ledger],
) -> Iterator[tuple[Asked, Callable[[], None]]]:
    """What has waited long enough: its input is there, or its time is over.

    Messages whose time is over are put among the dead letters here.

    Returns:
        What is asked for again, and what lets go of it once that is in the inbox.
    """
    group = settings.group
    for name, trigger in group.upstreams.items():
        key = group.keys[name]
        waiting = [w for w in all_waiting(store, key) if w.sensor == settings.name]
        if not waiting:
            continue
        request = Request(
            entities=tuple(w.asked.entity for w in waiting),
            forced=frozenset(w.asked.entity for w in waiting),  # wanted, whatever is recorded
            may_ask_upstream=frozenset(w.asked.entity for w in waiting),
        )
        gathered = gather(
            group,
            request,
            [name],
            ledger=ledger(),
            store=store,
            partitioned=partitioned_outside(group, graph_of(context)),
            in_flight=held_by_others(store, (), ()),
        )
        missing = gathered.plan(group).requested()
        for each in waiting:
            path = waiting_path(key, each.asked.entity)
            if each.asked.entity not in missing:
                yield each.asked, lambda path=path: store.delete(path)
            elif time.time() - each.since > trigger.wait_s:
                put_all(store, _dead(settings, each, f"{trigger.job} did not make it"))
                store.delete(path)


def _dead(settings: SensorSettings, waiting: Waiting, why: str) -> list[DeadLetter]:
    waited_s = time.time() - waiting.since
    return [
        DeadLetter(
            group=settings.group.name,
            sensor=waiting.sensor,
            entity=waiting.asked.entity,
            reason="input_missing",
            error=f"the input of '{waiting.asset}' did not come in {waited_s:.0f} s: {why}",
            at=time.time(),
            attempts=0,
            letter=letter,
        )
        for letter in waiting.asked.letters
    ]
