"""A claim kept alive while its run works."""

from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

from klio_dagster.errors import KlioError
from klio_dagster.store.claims import OpenClaim

BEAT_EVERY_S = 10.0


class Heartbeat:
    """Keeps a claim alive from a thread while a `with` block runs.

    A store that does not answer is asked again at the next beat.

    Args:
        claim: what to keep alive.
        every_s: seconds between two beats.
    """

    def __init__(self, claim: OpenClaim, every_s: float = BEAT_EVERY_S) -> None:
        self._claim = claim
        self._every_s = every_s
        self._ended = Event()
        self._thread = Thread(target=self._run, name="klio-heartbeat", daemon=True)

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

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            with suppress(KlioError):
                self._claim.beat()
