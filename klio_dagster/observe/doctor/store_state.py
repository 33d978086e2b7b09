"""What lies in a store: whose it is, what dead runs hold, which messages are not finished."""

import time
from collections import Counter
from collections.abc import Collection, Generator, Sequence

import dagster as dg

from klio_dagster.core.wording import counted
from klio_dagster.errors import ConfigError, KlioError
from klio_dagster.ledger.adopted import is_to_be_adopted
from klio_dagster.observe.doctor.finding import About, Finding
from klio_dagster.observe.doctor.trial import Measured
from klio_dagster.store.claims import read_claims
from klio_dagster.store.inbox import all_batches
from klio_dagster.store.layout import DEAD_LETTER_PREFIX, OUTBOX_PREFIX
from klio_dagster.store.store import Store

_SHOWN = 3


def look_at_owner(
    store: Store, instance: dg.DagsterInstance, keys: Sequence[str]
) -> Generator[Finding]:
    """Whether the Dagster instance that has recorded the store's outputs is ours.

    Args:
        store: where the outputs lie.
        instance: Dagster's.
        keys: of the assets that are stored there.

    Raises:
        KlioError: the store, or Dagster's log, did not work.
    """
    about = About("store", store.url)
    try:
        is_new = is_to_be_adopted(store, instance, keys)
    except ConfigError as error:
        yield about.failed("ledger", error)
        return
    yield about.ok("ledger", "the next run records that it is this one's" if is_new else "")


def look_at_contents(
    store: Store, measured: Measured, sensors: Collection[str]
) -> Generator[Finding]:
    """Which runs hold something, and which messages wait.

    Args:
        store: where the outputs lie.
        measured: what its clock says; nothing is written to ask it.
        sensors: names of the message sensors there are.

    Raises:
        KlioError: the store did not work.
    """
    about = About("store", store.url)
    yield _claims(about, store, measured)
    inbox = Counter(batch.sensor for batch in all_batches(store))
    orphaned = sorted(set(inbox) - set(sensors))
    batches = counted(inbox.total(), "batch", "batches")
    if orphaned:
        said = f"{batches} of messages, for whose sensor nobody looks: {', '.join(orphaned)}"
        remedy = "give that name (name=) to the sensor that took its place, until it is empty"
        yield about.warn("inbox", said, remedy, batches=inbox.total())
    else:
        yield about.ok("inbox", f"{batches} of messages" if inbox else "", batches=inbox.total())
    unsent = sum(1 for _ in store.list(OUTBOX_PREFIX))
    said = f"{counted(unsent, 'file')} still to be published; the next run or tick does"
    yield about.ok("outbox", said if unsent else "", files=unsent)
    letters = sum(1 for _ in store.list(DEAD_LETTER_PREFIX))
    said = f"{counted(letters, 'message')} given up: klio dead-letter list"
    yield about.ok("dead letters", said if letters else "", messages=letters)


def _claims(about: About, store: Store, measured: Measured) -> Finding:
    ahead_s = measured.ahead_s
    if ahead_s is None and store.local_path("") is None:
        said = "not known: nothing can be written there to learn what time it is"
        return about.warn("claims", said, "mend what it does not let us do, then ask again")
    try:
        states = read_claims(store, now=lambda: time.time() + (ahead_s or 0.0))
    except KlioError as error:
        return about.failed("claims", error)
    # The job of an orphan may go on elsewhere, but nobody records what it finishes.
    dead = [state for state in states if state.is_orphaned or not state.is_alive]
    orphans = sum(state.is_orphaned for state in dead)
    figures = {"alive": len(states) - len(dead), "dead": len(dead), "orphaned": orphans}
    if not dead:
        said = f"{counted(len(states), 'run')} at work" if states else ""
        return about.ok("claims", said, **figures)
    shown = "; ".join(f"run {state.claim.run_id}: {state.why}" for state in dead[:_SHOWN])
    more = f" and {len(dead) - _SHOWN:,} more" if len(dead) > _SHOWN else ""
    left = f"; {counted(orphans, 'job')} elsewhere may go on" if orphans else ""
    said = f"{counted(len(dead), 'run')} died at work ({shown}{more}{left})"
    remedy = "run again: `klio run` records what they had finished, and computes the rest"
    return about.warn("claims", said, remedy, **figures)
