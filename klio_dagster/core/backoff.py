"""`Backoff`: how long to wait before the next attempt, longer after each that failed."""

from dataclasses import dataclass

from klio_dagster.errors import ConfigError

_MOST_GROWTHS = 60  # floats end long before counts do
_MOST_FACTOR = 100.0
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next attempt: exponential.

    Args:
        first_s: the wait after the first failure, in seconds, above 0.
        factor: how many times longer each further wait is, 1 to 100.
        longest_s: no wait is longer, in seconds, above 0.

    Raises:
        ConfigError: a time is not above 0, or the factor is out of its range.
    """

    first_s: float = 60.0
    factor: float = 4.0
    longest_s: float = _HOUR_S

    def __post_init__(self) -> None:
        if not (self.first_s > 0 and self.longest_s > 0):
            raise ConfigError(f"a wait is not above 0 s: {self}", where="Backoff", fix="mend it")
        if not 1 <= self.factor <= _MOST_FACTOR:
            raise ConfigError(f"factor is {self.factor}", where="Backoff", fix="use 1 to 100")

    @classmethod
    def of(cls, given: "Backoff | float") -> "Backoff":
        """What somebody gave: itself, or the first wait in seconds.

        Raises:
            ConfigError: the wait is not above 0.
        """
        if isinstance(given, Backoff):
            return given
        return cls(first_s=given, longest_s=max(given, _HOUR_S))

    def wait_s(self, failures: int, dice: float = 1.0) -> float:
        """Seconds to wait after so many failed attempts; none after none.

        Args:
            failures: >= 0.
            dice: what part of the longest wait it is, 0 to 1. A random one ("full jitter") keeps
                those that failed together from coming back together.
        """
        if failures < 1:
            return 0.0
        growths = min(failures - 1, _MOST_GROWTHS)
        return dice * min(self.longest_s, self.first_s * self.factor**growths)
