"""Time that goes on evenly, to whatever the wall clock is set meanwhile."""

import json
import time
from collections.abc import Callable
from typing import Any

from klio_dagster.errors import StoreForbiddenError, StoreLoginError
from klio_dagster.store.layout import CLOCK_PATH
from klio_dagster.store.objects import ObjectStore
from klio_dagster.store.processes import Process

Clock = Callable[[], float]

_PASSED_S = "passed_s"


def passed_s() -> float:
    """Seconds by a clock that is never set, and goes on while a process or the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; elsewhere the machine's sleep is left out
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def wall_clock_from(at: float, passed: float, monotonic: Clock = passed_s) -> Clock:
    """Seconds since 1970 that are not set any more from a moment on.

    Args:
        at: the wall clock's time at that moment.
        passed: `monotonic` at that moment, on the same machine.
        monotonic: seconds.
    """
    return lambda: at + monotonic() - passed


def store_time(store: ObjectStore) -> float:
    """The time by the store's clock, in seconds since 1970. Writes a small object to learn it.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: it did not answer.
    """
    store.put(CLOCK_PATH, b"now\n")
    return store.head(CLOCK_PATH).modified.timestamp()


def time_at(store: ObjectStore) -> float:
    """The time by the store's clock, in seconds since 1970; this machine's where that is the same.

    So it is for a local folder, and has to be where we may not write.

    Raises:
        StoreLoginError: our credentials have expired, or our own clock is wrong.
        StoreUnavailableError: the store did not answer.
    """
    if store.local_path("") is None:
        try:
            return store_time(store)
        except StoreLoginError:
            raise
        except StoreForbiddenError:
            pass
    return time.time()


def stamped(fields: dict[str, Any], monotonic: Clock) -> bytes:
    """An object's content with the time of writing, by the writer's clock that is never set."""
    return json.dumps({**fields, _PASSED_S: monotonic()}).encode() + b"\n"


def silent_s(
    store: ObjectStore,
    path: str,
    writer: Process,
    by_store_s: Callable[[], float],
    monotonic: Clock = passed_s,
) -> float:
    """Seconds since a process wrote an object with `stamped`.

    On the writer's own machine by the clock that is never set. Elsewhere by the store's; that one
    may have been set, also back: what lies in its future is as old as if it lay as far in the past.

    Args:
        store: where the object lies.
        path: of the object.
        writer: the process.
        by_store_s: seconds since then by the store's clock.
        monotonic: seconds.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    if writer.is_here:
        try:
            return max(
                0.0, monotonic() - float(json.loads(store.get_or_none(path) or b"")[_PASSED_S])
            )
        except (ValueError, KeyError, TypeError):  # not there yet, or of an earlier version
            pass
    return abs(by_store_s())
