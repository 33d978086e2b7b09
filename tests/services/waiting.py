"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable


def wait_until(
    is_so: Callable[[], object],
    within_s: float = 60.0,
    why_not: str = "it did not come to that",
    every_s: float = 0.02,
) -> None:
    """Return when it is so.

    Args:
        is_so: asked again and again.
        within_s: the longest wait.
        why_not: said when it is not so in time.
        every_s: the pause between two questions; longer for what costs others something.

    Raises:
        AssertionError: it is not so in time.
    """
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end, why_not
        time.sleep(every_s)
