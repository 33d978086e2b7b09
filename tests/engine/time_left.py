"""Installed into a worker: notes how long each of its writes to the store may take."""

import json
import os
from pathlib import Path

from klio_dagster.store.objects import TimeLeft
from klio_dagster.store.store import Store

NOTED = "KLIO_TESTS_TIME_LEFT"
_put_within = Store.put_within


def _noting(store: Store, path: str, data: bytes, left_s: TimeLeft) -> None:
    with Path(os.environ[NOTED]).open("a") as file:
        file.write(json.dumps([path, left_s()]) + "\n")
    _put_within(store, path, data, left_s)


Store.put_within = _noting
