"""Which errors may not come again, and how long to wait before another try."""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from klio_dagster.core.backoff import Backoff
from klio_dagster.core.manifest import PartSpec
from klio_dagster.core.reference import resolve
from klio_dagster.errors import KlioError

IsTransient = Callable[[BaseException], bool]

_TRANSIENT = (ConnectionError, TimeoutError, InterruptedError)
_TRANSIENT_ERRNO = frozenset(
    {
        errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.ESTALE,
        errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    }
)  # fmt: skip
# Busy or restarting servers, by HTTP's status: urllib's `HTTPError.code`, google's `code`.
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
# By name: nobody's HTTP client is imported to ask whether an error is one of its own.
_TRANSIENT_NAMES = frozenset(
    {
        ("requests.exceptions", "ConnectionError"),
        ("requests.exceptions", "Timeout"),
        ("requests.exceptions", "ChunkedEncodingError"),
        ("urllib3.exceptions", "TimeoutError"),
        ("urllib3.exceptions", "ProtocolError"),
        ("http.client", "IncompleteRead"),
        ("httpx", "TransportError"),
    }
)
_MOST_CAUSES = 10
_WITHIN_A_RUN = Backoff(first_s=1.0, factor=2.0, longest_s=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How a chain waits between two attempts.

    Args:
        pause: waits so many seconds.
        dice: a random number, 0 <= n < 1.
        clock: seconds, monotonic.
        backoff: how long.
    """

    pause: Callable[[float], None]
    dice: Callable[[], float]
    clock: Callable[[], float]
    backoff: Backoff = _WITHIN_A_RUN

    def over_at(self, failures: int) -> float:
        """When the wait after so many failed attempts is over, by the clock."""
        return self.clock() + self.backoff.wait_s(failures, self.dice())

    def until(self, moment: float) -> None:
        """Wait, if that moment has not come."""
        left = moment - self.clock()
        if left > 0:
            self.pause(left)


NO_WAITS = Waits(pause=lambda _seconds: None, dice=lambda: 0.0, clock=lambda: 0.0)
"""For tests: the next attempt is made at once."""


def is_transient_by_default(error: BaseException) -> bool:
    """The error, or one it was raised from, is one that the same call may not meet again."""
    return any(_is_transient(each) for each in _causes(error))


def transient_of(part: PartSpec) -> IsTransient:
    """What an asset calls transient; our own errors that call themselves so are among it.

    Raises:
        ConfigError: a class or function it names cannot be imported.
    """
    if part.transient is None:
        return is_transient_by_default
    knowing = [_knowing(resolve(reference, "transient")) for reference in part.transient]
    return lambda error: _is_ours(error) or any(knows(error) for knows in knowing)


def _knowing(found: object) -> IsTransient:
    if isinstance(found, type):
        return lambda error: isinstance(error, found)
    assert callable(found)
    return lambda error: bool(found(error))


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, KlioError) and error.transient


def _is_transient(error: BaseException) -> bool:
    if _is_ours(error) or isinstance(error, _TRANSIENT):
        return True
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO:
        return True
    status = getattr(error, "code", None)
    if isinstance(error, Exception) and isinstance(status, int) and status in _TRANSIENT_STATUS:
        return True
    return any((each.__module__, each.__name__) in _TRANSIENT_NAMES for each in type(error).mro())


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from (`raise ... from`), and what it wraps (urllib)."""
    found: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if found is None:
            return
        yield found
        reason = getattr(found, "reason", None)
        found = found.__cause__ or (reason if isinstance(reason, BaseException) else None)
