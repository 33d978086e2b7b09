"""How much memory the processes of a benchmark hold at most, by what they are."""

import threading
from typing import Self

import psutil

_EVERY_S = 0.1
_ENGINE = ("java", "prism")
_WORKERS = ("engine.beam.sdk_harness", "engine.worker")


class Held(threading.Thread):
    """Samples what lives below this process, as a context.

    Attributes:
        everything: bytes of all processes together, at most.
        engine: of Flink's programs and its job server, or of Prism.
        workers: of those that execute user code, with the SDK processes they are started by.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.everything = self.engine = self.workers = 0
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Sample until it is left."""
        while not self._ended.wait(_EVERY_S):
            everything = engine = workers = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    line = " ".join(process.cmdline())
                    resident = process.memory_info().rss
                except psutil.Error:
                    continue
                everything += resident
                engine += resident * (process.name() in _ENGINE)
                workers += resident * any(name in line for name in _WORKERS)
            self.everything = max(self.everything, everything)
            self.engine = max(self.engine, engine)
            self.workers = max(self.workers, workers)
