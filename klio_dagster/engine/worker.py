"""Worker process (`python -m`): sets up once, then computes one task after the other.

It reads tasks from its standard input and writes frames to its standard output; a transform that
reads or prints gets neither of them. It ends when its input closes, that is with its driver, even
in the middle of a computation.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from importlib import import_module
from queue import SimpleQueue
from random import SystemRandom
from typing import Any, NoReturn

from klio_dagster.core.manifest import Manifest, Task
from klio_dagster.core.receipt import Receipt
from klio_dagster.engine.attempt import Beginning
from klio_dagster.engine.chain import EntityChain
from klio_dagster.engine.clock import clock_of
from klio_dagster.engine.family import Family
from klio_dagster.engine.frames import (
    BEGIN,
    DONE,
    READY,
    RECEIPT,
    RETIRE,
    STOP,
    WAIT,
    FrameReader,
    send,
)
from klio_dagster.engine.keeping import writes_itself
from klio_dagster.engine.limits import OwnMemory
from klio_dagster.engine.opened import opened_store
from klio_dagster.engine.options import is_remote
from klio_dagster.engine.printed import OwnOutput, PrintedCount
from klio_dagster.engine.retry import Waits
from klio_dagster.errors import KlioError
from klio_dagster.store.confirmed import ConfirmedStore
from klio_dagster.store.heartbeat import Confirmation
from klio_dagster.store.receipts import ReceiptPart

Lines = Sequence[str]
"""Of the tasks that are computed together, a JSON line each."""


def main() -> None:
    """Serve tasks until the input closes."""
    requests, answers = _private_pipes()
    frames = FrameReader(requests)
    backlog: SimpleQueue[Lines] = SimpleQueue()
    first: list[Any] | None = []
    while first == []:
        first = frames.read()
    if first is None:
        return
    head, writer, counted = first[0]
    for lines in first[1:]:
        backlog.put(lines)
    threading.Thread(target=_receive, args=(frames, backlog), daemon=True).start()
    Serving(head, writer, counted, answers).serve(backlog)


class Serving:
    """A worker that is set up.

    Args:
        head: of the manifest, JSON.
        writer: names the part file of its receipts.
        counted: descriptor of the count of what it prints.
        answers: pipe to the supervisor.
    """

    def __init__(self, head: str, writer: str, counted: int, answers: int) -> None:
        manifest = Manifest.from_json(head)
        for module in manifest.install:
            import_module(module)
        store = opened_store(manifest.store)
        self._pid = os.getpid()
        self._part = ReceiptPart(store, manifest.run, writer) if writes_itself(store) else None
        self._answers = answers
        self._unsaid: list[object] = []
        self._begun: list[object] = []
        self._limits = {part.name: part.memory for part in manifest.chain}
        self._memory = OwnMemory()
        self._family = Family()
        self._printed = OwnOutput(PrintedCount(counted), pipe=2)
        self._confirmation: Confirmation | None = None
        if manifest.generation:
            self._confirmation = Confirmation(
                store,
                manifest.run,
                manifest.generation,
                needs_beats=not is_remote(manifest.engine),
            )
            self._confirmation.watch()
        self._chain = EntityChain(
            manifest,
            ConfirmedStore(store, self._confirm),
            self._write,
            self._begin,
            notes=self._printed.notes,
            set_up=self._family.keep,
            clock=clock_of(manifest),
            # A generator of its own: user code may seed the usual one, in all workers alike.
            waits=Waits(pause=self._pause, dice=SystemRandom().random, clock=time.monotonic),
        )
        self._family.adopt_orphans()

    def serve(self, backlog: "SimpleQueue[Lines]") -> None:
        """Compute what comes, until something ends this process."""
        self._chain.import_transforms()
        self._family.keep()  # what modules started when they were imported
        self._say([READY])
        while True:
            tasks = [Task.from_line(line) for line in backlog.get()]
            self._printed.begin()
            try:
                self._chain.run(tasks)
            except KlioError as error:  # what is wrong with one entity is a receipt of it
                self._say([STOP, error.what, error.where, error.fix])
                _wait_for_the_end()
            left_behind = self._family.end_others()
            # With the next task at hand this goes along with its first frame: one wake-up less.
            self._unsaid.append([DONE])
            if left_behind:
                self._retire(tasks[0], left_behind)
            if backlog.empty():
                self._say()

    def _begin(self, beginning: Beginning) -> None:
        held = self._memory.held(self._limits[beginning.asset])
        self._begun = [
            *(BEGIN, beginning.positions, beginning.asset, beginning.part),
            *(beginning.timeout_s, beginning.started_at, beginning.earlier, held),
        ]
        self._say(self._begun)

    def _confirm(self) -> float | None:
        """Wait while nobody knows whether the run still holds its claim; time limits wait, too."""
        if self._confirmation is None:
            return None
        if not self._confirmation.is_fresh:
            self._say([WAIT])
            self._confirmation.wait()
            self._say(self._begun)  # what is left of it is timed anew
        return self._confirmation.left_s

    def _write(self, receipt: Receipt) -> None:
        self._end_copies()
        self._confirm()
        if self._part is not None:
            self._part.write(receipt)
        else:
            self._say([RECEIPT, receipt.to_line().decode()])

    def _end_copies(self) -> None:
        """User code that forks and forgets to end its child: the child goes no further."""
        if os.getpid() != self._pid:
            os._exit(1)

    def _pause(self, seconds: float) -> None:
        self._say([WAIT])
        time.sleep(seconds)

    def _retire(self, task: Task, names: Sequence[str]) -> None:
        """Say what was left behind, and wait for the end: what else it left nobody knows."""
        sys.stderr.write(
            f"\n[klio] {task.entity}: left {', '.join(names)} running: ended, with the worker;"
            " processes that are to stay belong into setup() of a class\n"
        )
        self._say([RETIRE])
        _wait_for_the_end()

    def _say(self, *frames: object) -> None:
        self._end_copies()
        send(self._answers, *self._unsaid, *frames)
        self._unsaid.clear()


def _wait_for_the_end() -> NoReturn:
    while True:
        signal.pause()


def _private_pipes() -> tuple[int, int]:
    """Standard input and output moved out of the way of user code."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _receive(frames: FrameReader, backlog: "SimpleQueue[Lines]") -> None:
    """Take tasks as they come; the end of the pipe ends this process and its children."""
    while (groups := frames.read()) is not None:
        for lines in groups:
            backlog.put(lines)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
