"""`Leases`: what was pulled is kept from being delivered again while it is worked on."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from klio_dagster.errors import PubSubError

EXTENDED_BY_S = 60
_AGAIN_AFTER_S = 25.0
# The shortest deadline a subscription may have is 10 s. A quick tick extends nothing at all.
_FIRST_AFTER_S = 4.0
_LOOK_EVERY_S = 1.0


class Leases:
    """Extends the deadlines of what is held, from a thread, while a `with` block runs.

    Args:
        extend: asks Pub/Sub for more time for some ack ids, in seconds; returns those it refused.
        first_after_s: how long a delivery is held before its first extension, in seconds.
    """

    def __init__(
        self,
        extend: Callable[[Sequence[str], int], Iterable[str]],
        first_after_s: float = _FIRST_AFTER_S,
    ) -> None:
        self._extend = extend
        self._first_after_s = first_after_s
        self._due: dict[str, float] = {}
        self._guard = Lock()
        self._ended = Event()
        self._thread = Thread(target=self._run, name="klio-pubsub-leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def add(self, ids: Iterable[str]) -> None:
        """Hold these from now on."""
        due = time.monotonic() + self._first_after_s
        with self._guard:
            self._due.update(dict.fromkeys(ids, due))

    def drop(self, ids: Iterable[str]) -> None:
        """Hold these no longer."""
        with self._guard:
            for each in ids:
                self._due.pop(each, None)

    def _run(self) -> None:
        while not self._ended.wait(min(_LOOK_EVERY_S, self._first_after_s)):
            now = time.monotonic()
            with self._guard:
                due = [each for each, at in self._due.items() if at <= now]
            # Who cannot be asked now is asked again in a second; at worst they come twice.
            with suppress(PubSubError):
                self._extend_now(due)

    def _extend_now(self, due: list[str]) -> None:
        if not due:
            return
        gone = set(self._extend(due, EXTENDED_BY_S))
        again = time.monotonic() + _AGAIN_AFTER_S
        with self._guard:
            for each in due:
                if each in gone:
                    self._due.pop(each, None)
                elif each in self._due:  # unless it was acknowledged meanwhile
                    self._due[each] = again
