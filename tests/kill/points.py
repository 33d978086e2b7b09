"""Points at which a process kills itself: before or after a call of a function, written as data.

A folder is armed with the name of a point. The processes that `install` it there all know, and the
first one that comes to it disarms the folder and dies.
"""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

FOLDER = "KLIO_TEST_FOLDER"
A_WORKER, THE_DRIVER = "a worker", "the driver"
"""Those of a run; they die in a transform, at the execution of the point's number."""

_ARMED, _DIED, _VICTIMS, _LEASES = "armed", "died", "victims", "leases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where a process dies.

    Args:
        at: `module:function` or `module:Class.method`, or one of the constants above.
        when: `before` or `after` the call.
        nth: which call, from 1, of those that have anything to do.
        settings: `module:NAME` to another value, in the process that dies.
    """

    at: str
    when: str = "after"
    nth: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


# Two messages a request, and one request at a time: then some of them are on their way and others
# not when the first one is answered. Receipts are recorded in one go, when the last one is there.
_FEW_A_REQUEST = {
    "klio_dagster.pubsub.publish:_BATCH_MESSAGES": 2,
    "klio_dagster.pubsub.publish:_AT_ONCE": 1,
}
_ONE_A_REQUEST = {"klio_dagster.pubsub.publish:_BATCH_MESSAGES": 1}
_FEW_ACKS = {"klio_dagster.pubsub.acks:IDS_A_REQUEST": 3}
# In time: there is none.
_NOBODY_ANSWERS = {
    "klio_dagster.pubsub.publish:ANSWER_WITHIN_S": -1.0,
    "klio_dagster.pubsub.connection:_FIRST_DELAY_S": 0.0,
}
_NOTHING_IS_TAKEN = {"klio_dagster.pubsub.publish:MOST_BYTES": 0}
_IN_ONE_GO = {"klio_dagster.defs.recorder:_LONGEST_HELD_S": 60.0}

TICK: Mapping[str, Point] = {
    "after pull": Point(at="klio_dagster.pubsub.pull:Subscription.pull"),
    "after the dead letters": Point(at="klio_dagster.streaming.intake:put_all"),
    "after the inbox write": Point(at="klio_dagster.streaming.intake:write_batch"),
    "after the first acknowledge": Point(
        at="klio_dagster.pubsub.acks:_refused_of_one_request", settings=_FEW_ACKS
    ),
    "after the second acknowledge": Point(
        at="klio_dagster.pubsub.acks:_refused_of_one_request", nth=2, settings=_FEW_ACKS
    ),
    "after the acknowledgement": Point(at="klio_dagster.pubsub.pull:Subscription.acknowledge"),
    "after registering": Point(at="klio_dagster.streaming.tick:register_asked"),
    "after the tick": Point(at="klio_dagster.streaming.tick:Tick.result"),
}

RUN: Mapping[str, Point] = {
    "run start": Point(at="klio_dagster.defs.execute:check_store", when="before"),
    "before its claim": Point(at="klio_dagster.defs.execute:open_claim", when="before"),
    "after its claim": Point(at="klio_dagster.defs.execute:open_claim"),
    "planned": Point(at="klio_dagster.defs.execute:_carry_out", when="before"),
    "mid-run, the driver": Point(at=THE_DRIVER, nth=7),
    "mid-run, its own process": Point(at="klio_dagster.defs.recorder:Recorder.add", nth=2),
    "after the last output, before the ledger": Point(
        at="klio_dagster.ledger.ledger:BatchedLedger.record", when="before", settings=_IN_ONE_GO
    ),
    "after the ledger, before the publish": Point(
        at="klio_dagster.defs.passing_on:PassingOn.recorded", when="before", settings=_IN_ONE_GO
    ),
    # The first one of each passes on what is only pinged.
    "inside the publish": Point(
        at="klio_dagster.pubsub.publish:_Sending._send",
        nth=2,
        settings=_FEW_A_REQUEST | _IN_ONE_GO,
    ),
    "after the publish": Point(at="klio_dagster.pubsub.publish:Publisher.publish", nth=2),
    "after the published receipt": Point(at="klio_dagster.defs.passing_on:put_published", nth=2),
    "before the batch is removed": Point(
        at="klio_dagster.defs.passing_on:remove_batch", when="before"
    ),
    "after the batch is removed": Point(at="klio_dagster.defs.passing_on:remove_batch"),
    "before the claim is closed": Point(
        at="klio_dagster.store.open_claim:OpenClaim.close", when="before"
    ),
}

ELSEWHERE: Mapping[str, Point] = {
    "mid-run, a worker": Point(at=A_WORKER, nth=7),
    "after what failed is held": Point(at="klio_dagster.defs.passing_on:hold"),
    "after the only published receipt": Point(at="klio_dagster.defs.passing_on:put_published"),
    # of a run whose entities another one holds
    "before it says that it waited": Point(
        at="klio_dagster.defs.messages:_say_that_it_waited", when="before"
    ),
    "before the rest is written": Point(at="klio_dagster.defs.passing_on:put_batch", when="before"),
    "after the rest is written": Point(at="klio_dagster.defs.passing_on:put_batch"),
    # of who cannot publish
    "before the outbox is written": Point(
        at="klio_dagster.defs.telling:leave", when="before", settings=_NOBODY_ANSWERS
    ),
    "after the outbox is written": Point(
        at="klio_dagster.defs.telling:leave", settings=_NOBODY_ANSWERS
    ),
    "before what is refused is kept": Point(
        at="klio_dagster.defs.telling:put_all",
        when="before",
        settings=_NOTHING_IS_TAKEN | _ONE_A_REQUEST,
    ),
    "after what is refused is kept": Point(
        at="klio_dagster.defs.telling:put_all", settings=_NOTHING_IS_TAKEN | _ONE_A_REQUEST
    ),
    # of who settles a dead run
    "before its outbox is written": Point(at="klio_dagster.ledger.resume:leave", when="before"),
    "after its outbox is written": Point(at="klio_dagster.ledger.resume:leave"),
    "before the outbox is published": Point(
        at="klio_dagster.defs.telling:Telling.tell", when="before"
    ),
    "after the outbox is published": Point(at="klio_dagster.defs.telling:Telling.tell"),
    # of a tick that lets go of what was kept elsewhere
    "before the batch of what was kept": Point(
        at="klio_dagster.streaming.intake:write_batch", when="before"
    ),
    "after the batch of what was kept": Point(at="klio_dagster.streaming.intake:write_batch"),
    "before the letters of a batch given up": Point(
        at="klio_dagster.streaming.tick:put_all", when="before"
    ),
    "after the letters of a batch given up": Point(at="klio_dagster.streaming.tick:put_all"),
}

_ONE_BY_ONE = {"klio_dagster.streaming.waiting:_AT_ONCE": 1}
_WAITING = "klio_dagster.streaming.waiting"
_DELETES = "klio_dagster.store.store:Store.delete"

# Of a run that misses inputs which somebody else makes, and of the tick that asks him.
PUT_ASIDE: Mapping[str, Point] = {
    "before they are put aside": Point(
        at="klio_dagster.defs.passing_on:put_unasked", when="before"
    ),
    "after they are put aside": Point(at="klio_dagster.defs.passing_on:put_unasked"),
    "after the batch of those put aside is removed": Point(
        at="klio_dagster.defs.passing_on:remove_batch"
    ),
}
ASK: Mapping[str, Point] = {
    "before upstream is asked": Point(at=f"{_WAITING}:Waits._publish", when="before"),
    "after upstream is asked": Point(at=f"{_WAITING}:Waits._publish"),
    "after the second of them waits": Point(
        at=f"{_WAITING}:put_waiting", nth=2, settings=_ONE_BY_ONE
    ),
    "after all of them wait": Point(at=_DELETES, when="before"),
    "after what was put aside is gone": Point(at=_DELETES),
}
# Of a tick that finds that their inputs have come, or that they did not come in time.
COME: Mapping[str, Point] = {
    "before the batch of what has waited": Point(
        at="klio_dagster.streaming.intake:write_batch", when="before"
    ),
    "after the batch of what has waited": Point(at="klio_dagster.streaming.intake:write_batch"),
    "after the first of them waits no longer": Point(at=_DELETES),
    "after the last of them waits no longer": Point(at=_DELETES, nth=5),
}
LATE: Mapping[str, Point] = {
    "before they are dead letters": Point(
        at="klio_dagster.streaming.intake:put_all", when="before"
    ),
    "after the first is a dead letter": Point(at="klio_dagster.store.dead_letter:put"),
    "after they are dead letters": Point(at="klio_dagster.streaming.intake:put_all"),
    "after the batch that fails them": Point(at="klio_dagster.streaming.intake:write_batch"),
    "after the first that is late waits no longer": Point(at=_DELETES),
    "after the last that is late waits no longer": Point(at=_DELETES, nth=5),
}

# Where whoever dies is executing something, which is then executed again.
MID_RUN = ("mid-run, the driver", "mid-run, its own process", "mid-run, a worker")

# The daemon's own; `check_for_debug_crash` is called with the name.
DAEMON = (
    "TICK_CREATED",
    "TICK_HELD",
    "AUTOMATION_EVALUATIONS_ADDED",
    "RUN_IDS_RESERVED",
    "RUN_CREATED",
    "RUN_LAUNCHED",
    "RUN_IDS_ADDED_TO_EVALUATIONS",
)

ALL: Mapping[str, Point] = {**TICK, **RUN, **ELSEWHERE, **PUT_ASIDE, **ASK, **COME, **LATE}


def arm(folder: Path, name: str) -> None:
    """Let the first process die that comes to this point."""
    (folder / _DIED).unlink(missing_ok=True)
    (folder / _ARMED).write_text(name)


def armed(folder: Path) -> Point | None:
    """The point the folder is armed with; None if none, or if somebody has died of it."""
    name = armed_with(folder)
    return ALL.get(name) if name else None


def armed_with(folder: Path) -> str | None:
    """Its name."""
    try:
        return (folder / _ARMED).read_text()
    except FileNotFoundError:
        return None


def disarmed(folder: Path) -> bool:
    """Whether it was us who disarmed it: one process dies of a point."""
    try:
        (folder / _ARMED).rename(folder / _DIED)
    except FileNotFoundError:
        return False
    return True


def has_died(folder: Path) -> bool:
    """Somebody came to the point."""
    return (folder / _DIED).exists()


def die_too(folder: Path, pids: list[int]) -> None:
    """Have these processes be killed with the one that comes to the point."""
    (folder / _VICTIMS).write_text("\n".join(map(str, pids)))


def die(folder: Path) -> None:
    """Kill ourselves, and before that all that are to die with us; once a point."""
    if not disarmed(folder):
        return
    victims = folder / _VICTIMS
    for pid in victims.read_text().split() if victims.exists() else ():
        os.kill(int(pid), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def install(folder: Path) -> None:
    """Die at the point the folder is armed with; note the deliveries that die with us."""
    _replace("klio_dagster.pubsub.pull:Subscription.pull", lambda pull: _noting(pull, folder))
    point = armed(folder)
    if point is None:
        return
    for where, value in point.settings.items():
        set_to(where, value)
    if point.at not in {A_WORKER, THE_DRIVER}:
        _replace(point.at, lambda function: _dying(function, point, folder))


def set_to(where: str, value: object) -> None:
    """Give `module:NAME` another value; fails where there is no such name."""
    _replace(where, lambda _: value)


def leases(folder: Path) -> list[str]:
    """The ack ids of all that was pulled, once: of a dead process they would run out later."""
    noted = folder / _LEASES
    ids = noted.read_text().split() if noted.exists() else []
    noted.unlink(missing_ok=True)
    return ids


def _replace(where: str, by: Callable[[Any], Any]) -> None:
    module, _, path = where.partition(":")
    owner: Any = import_module(module)
    *above, name = path.split(".")
    for each in above:
        owner = getattr(owner, each)
    setattr(owner, name, by(getattr(owner, name)))


def _dying(function: Callable[..., Any], point: Point, folder: Path) -> Callable[..., Any]:
    calls = count(1)

    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        # What is about no message at all is no point of its way.
        last = arguments[-1] if arguments else True
        is_it = bool(last or last is None) and next(calls) == point.nth
        if is_it and point.when == "before":
            die(folder)
        result = function(*arguments, **options)
        if is_it and point.when == "after":
            die(folder)
        return result

    return wrapped


def _noting(pull: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    @wraps(pull)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        received = pull(*arguments, **options)
        with (folder / _LEASES).open("a") as noted:
            noted.writelines(f"{each.ack_id}\n" for each in received)
        return received

    return wrapped
