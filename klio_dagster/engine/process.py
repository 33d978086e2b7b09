"""One worker process as its supervisor sees it: pipes, what it computes, how it died."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from klio_dagster.core.manifest import Task
from klio_dagster.core.receipt import Failure
from klio_dagster.engine.frames import BEGIN, DONE, READY, FrameReader, send
from klio_dagster.engine.limits import worker_environment

_LONGEST_START_S = 300.0  # imports with empty caches take 20 s
_MOST_OUTPUT_BYTES = 64 * 1024  # of what one entity prints; the rest is cut
_READ_AT_ONCE = 1 << 16

Show = Callable[[str], None]


@dataclass(slots=True)
class Computing:
    """What a worker is doing: a part, for an asset of an entity.

    Args:
        asset: name of the asset.
        part: the asset itself or one of its steps.
        timeout_s: how long that may take.
        deadline: when it is over, by the monotonic clock.
        began: when the asset's first part was begun, by the same clock.
    """

    asset: str
    part: str
    timeout_s: float
    deadline: float
    began: float


@dataclass(slots=True)
class WorkerProcess:
    """A started worker.

    Args:
        name: names its receipts' part file.
        process: the operating system's process, leader of its own group.
        show: takes what the worker's code prints.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    show: Show
    frames: FrameReader = field(init=False)
    tasks: "deque[Task]" = field(default_factory=deque[Task])
    """Given to it, the first one being computed."""
    computing: Computing | None = None
    is_ready: bool = False
    start_deadline: float = field(default_factory=lambda: time.monotonic() + _LONGEST_START_S)
    was_killed: bool = False
    timed_out: Computing | None = None
    _printed: int = 0

    def __post_init__(self) -> None:
        assert self.process.stdout
        assert self.process.stderr
        self.frames = FrameReader(self.process.stdout.fileno())
        threading.Thread(target=self._pump, args=(self.process.stderr,), daemon=True).start()

    @classmethod
    def start(cls, name: str, head: str, show: Show) -> "WorkerProcess":
        """Start a worker on a manifest."""
        process = subprocess.Popen(
            [sys.executable, "-m", "klio_dagster.engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=worker_environment(os.environ),
            start_new_session=True,
        )
        worker = cls(name, process, show)
        worker._send([head, name])
        return worker

    def give(self, task: Task) -> None:
        """Hand over a task; a worker that has just died gets it too, and loses it with the rest."""
        self.tasks.append(task)
        self._send(task.to_line())

    def read(self, now: float) -> bool:
        """Take in what it says.

        Args:
            now: monotonic clock, seconds.

        Returns:
            False when it has closed its side: it is dead.
        """
        frames = self.frames.read()
        if frames is None:
            return False
        for frame in frames:
            self._take(frame, now)
        return True

    def is_late(self, now: float) -> bool:
        """What it computes, or its start, has taken longer than it may."""
        if not self.is_ready:
            return now > self.start_deadline
        return self.computing is not None and now > self.computing.deadline

    def has_ended(self) -> bool:
        """Its process is gone, even if a child of it still holds its pipes open."""
        return self.process.poll() is not None

    def has_said(self) -> bool:
        """There is something to read from it."""
        return bool(select.select([self.frames.pipe], [], [], 0)[0])

    def kill(self) -> None:
        """End it and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it and give its pipes back."""
        self.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()

    def cause_of_death(self) -> Failure:
        """Why what it was computing has no result."""
        computing = self.timed_out or self.computing
        doing = f" while computing '{computing.part}'" if computing else ""
        if self.timed_out:
            return Failure(
                "Timeout", f"it took longer than timeout_s={self.timed_out.timeout_s:g}{doing}"
            )
        code = self.process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            return Failure(name, f"the worker process was ended by {name}{doing}")
        return Failure("WorkerExit", f"the worker process ended itself with code {code}{doing}")

    def _take(self, frame: object, now: float) -> None:
        match frame:
            case [str(kind), str(asset), str(part), float() | int() as timeout_s] if kind == BEGIN:
                before = self.computing
                began = before.began if before and before.asset == asset else now
                self.computing = Computing(asset, part, timeout_s, now + timeout_s, began)
                self.timed_out = None  # it had finished after all
            case [str(kind)] if kind == DONE:
                self.tasks.popleft()
                self.computing = self.timed_out = None
                self._printed = 0
            case [str(kind)] if kind == READY:
                self.is_ready = True
            case _:
                raise ValueError(f"worker {self.name} sent {frame!r}")

    def _send(self, content: object) -> None:
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it is dead: the supervisor sees that on the other pipe
            send(self.process.stdin.fileno(), content)

    def _pump(self, pipe: IO[bytes]) -> None:
        """Pass on what user code prints, at most 64 KiB an entity, so that it never blocks."""
        with pipe:
            while data := os.read(pipe.fileno(), _READ_AT_ONCE):
                before, self._printed = self._printed, self._printed + len(data)
                room = _MOST_OUTPUT_BYTES - before
                # Read on whatever becomes of it: user code must not feel that nobody listens.
                with suppress(Exception):
                    if room > 0:
                        self.show(data[:room].decode(errors="replace"))
                    if before <= _MOST_OUTPUT_BYTES < self._printed:
                        entity = self.tasks[0].entity if self.tasks else "start-up"
                        self.show(f"\n[klio] {entity}: printed more than 64 KiB, the rest is cut\n")
