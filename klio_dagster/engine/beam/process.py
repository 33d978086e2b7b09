"""The `process entity` DoFn: hands tasks to the supervised pool and waits for their receipts."""

import apache_beam as beam

from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.engine.running import running_pool


class ProcessEntity(beam.DoFn):
    """Computes entities: a task's JSON line in, nothing out. Receipts carry the results.

    Args:
        head: the manifest's head as JSON.
    """

    def __init__(self, head: str) -> None:
        self._head = head

    def setup(self) -> None:
        """Find or start the pool of this process."""
        self._pool = running_pool(Manifest.from_json(self._head))

    def start_bundle(self) -> None:
        """See what is finished: a bundle of a process that died comes to one that lives."""
        self._pool.look()

    def process(self, element: str) -> None:
        """Put a task under way; its receipts may come later."""
        self._pool.submit(Task.from_line(element))

    def finish_bundle(self) -> None:
        """Wait until all of the bundle has receipts; emits nothing."""
        self._pool.drain()
