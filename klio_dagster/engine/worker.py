"""Worker process (`python -m`): sets up once, then computes one task after the other.

It reads tasks from its standard input and writes frames to its standard output; a transform that
reads or prints gets neither of them. It ends when its input closes, that is with its driver, even
in the middle of a computation.
"""

import os
import signal
import threading
from importlib import import_module
from queue import SimpleQueue
from typing import Any

from klio_dagster.core.manifest import Manifest, PartSpec, Task
from klio_dagster.engine.chain import EntityChain
from klio_dagster.engine.frames import BEGIN, DONE, READY, FrameReader, send
from klio_dagster.store.receipts import ReceiptPart
from klio_dagster.store.store import Store


def main() -> None:
    """Serve tasks until the input closes."""
    requests, answers = _private_pipes()
    frames = FrameReader(requests)
    backlog: SimpleQueue[str] = SimpleQueue()
    first: list[Any] | None = []
    while first == []:
        first = frames.read()
    if first is None:
        return
    head, writer = first[0]
    for line in first[1:]:
        backlog.put(line)
    threading.Thread(target=_receive, args=(frames, backlog), daemon=True).start()

    manifest = Manifest.from_json(head)
    for module in manifest.install:
        import_module(module)
    store = Store.open(manifest.store)
    part = ReceiptPart(store, manifest.run, writer)

    unsaid: list[object] = []

    def begin(asset: str, step: PartSpec) -> None:
        send(answers, *unsaid, [BEGIN, asset, step.name, step.timeout_s])
        unsaid.clear()

    chain = EntityChain(manifest, store, part.write, begin)
    chain.import_transforms()
    send(answers, [READY])
    while True:
        chain.run(Task.from_line(backlog.get()))
        # With the next task at hand this goes along with its first frame: one wake-up less.
        unsaid.append([DONE])
        if backlog.empty():
            send(answers, *unsaid)
            unsaid.clear()


def _private_pipes() -> tuple[int, int]:
    """Standard input and output moved out of the way of user code."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _receive(frames: FrameReader, backlog: "SimpleQueue[str]") -> None:
    """Take tasks as they come; the end of the pipe ends this process and its children."""
    while (lines := frames.read()) is not None:
        for line in lines:
            backlog.put(line)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
