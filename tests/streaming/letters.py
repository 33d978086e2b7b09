"""Dead letters for tests, and a process that dies while it sends one back.

`python -m tests.streaming.letters STORE ID WRITE`: killed before the write of that number, from 1.
"""

import os
import signal
import sys
from itertools import count
from typing import Any

from klio_dagster.core.letter import Letter
from klio_dagster.store.dead_letter import DeadLetter
from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import replay


def dead(name: str = "one", **fields: Any) -> DeadLetter:
    """A dead letter that is another for each name."""
    about: dict[str, Any] = {
        "group": "tracks",
        "sensor": "messages",
        "entity": name,
        "reason": "failed",
        "error": "ValueError: no sound in it",
        "at": 1_700_000_000.0,
        "letter": Letter(data=b"\x08\x02" + name.encode(), message_id=f"m-{name}"),
    }
    return DeadLetter(**{**about, **fields})


class _Dying(Store):
    """Dies instead of its n-th write."""

    last: int

    def put(self, path: str, data: bytes) -> None:
        self._die_at(next(self.writes))
        super().put(path, data)

    def delete(self, path: str) -> None:
        self._die_at(next(self.writes))
        super().delete(path)

    def _die_at(self, write: int) -> None:
        if write == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _, url, letter_id, write = sys.argv
    store = _Dying.open(url)
    store.last, store.writes = int(write), count(1)
    replay(store, [letter_id])
