"""One worker process as its supervisor sees it: pipes, what it computes, how it died."""

import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from klio_dagster.core.manifest import Task
from klio_dagster.core.receipt import Failure
from klio_dagster.core.size import shown_bytes
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
from klio_dagster.engine.limits import MemoryWatch, worker_environment
from klio_dagster.engine.printed import MOST_SHOWN, PrintedCount
from klio_dagster.engine.scratch import forget_worker
from klio_dagster.errors import RunError

_LONGEST_START_S = 300.0  # imports with empty caches take 20 s
_READ_AT_ONCE = 1 << 16
_PIPE_BYTES = 1 << 20  # what Linux lets everybody have
_MUCH_MEMORY = 1 << 29  # bytes; who held less was not killed for it

Show = Callable[[str], None]
OnReceipt = Callable[[bytes], None]
Group = Sequence[Task]
"""Tasks of entities that are computed together."""


@dataclass(frozen=True, slots=True)
class Computing:
    """What a worker is doing: a part, for an asset of some entities.

    Args:
        positions: of the entities in the worker's group.
        asset: name of the asset.
        part: the asset itself or one of its steps.
        timeout_s: how long that may take.
        started_at: seconds since the epoch, by the worker's clock.
        earlier: errors of the attempts before.
        held: bytes of memory before it, where that was much.
        deadline: when it is over, by the monotonic clock.
    """

    positions: Sequence[int]
    asset: str
    part: str
    timeout_s: float
    started_at: float
    earlier: Sequence[str]
    held: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """Why a worker is killed.

    Args:
        computing: what for.
        failure: what is said of it.
        is_certain: it is what was computed that is to blame, and not what was before.
    """

    computing: Computing
    failure: Failure
    is_certain: bool = True


@dataclass(slots=True)
class WorkerProcess:
    """A started worker.

    Args:
        name: names its receipts' part file.
        process: the operating system's process, leader of its own group.
        show: takes what the worker's code prints.
        printed: counts that, for the worker to know.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    show: Show
    printed: PrintedCount
    frames: FrameReader = field(init=False)
    memory: MemoryWatch = field(init=False)
    groups: "deque[Group]" = field(default_factory=deque[Group])
    """Given to it, the first one being computed."""
    handed: list[bytes] = field(default_factory=list[bytes])
    """Lines of receipts it has handed over of the first group."""
    computing: Computing | None = None
    on_receipt: OnReceipt = lambda _line: None
    is_ready: bool = False
    has_finished_any: bool = False
    is_retiring: bool = False
    start_deadline: float = field(default_factory=lambda: time.monotonic() + _LONGEST_START_S)
    was_killed: bool = False
    sentence: Sentence | None = None
    printed_before: int = 0

    def __post_init__(self) -> None:
        assert self.process.stdout
        assert self.process.stderr
        self.frames = FrameReader(self.process.stdout.fileno())
        self.memory = MemoryWatch(self.process.pid)
        threading.Thread(target=self._pump, args=(self.process.stderr,), daemon=True).start()

    @classmethod
    def spawn(cls, show: Show) -> "WorkerProcess":
        """Start a worker that waits for its manifest."""
        printed = PrintedCount.new()
        process = subprocess.Popen(
            [sys.executable, "-m", "klio_dagster.engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=worker_environment(os.environ),
            start_new_session=True,
            pass_fds=[printed.file],
        )
        assert process.stdin
        with suppress(OSError):  # so that giving it batches never waits for user code
            fcntl.fcntl(process.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return cls("", process, show, printed)

    def begin(self, name: str, head: str, on_receipt: OnReceipt) -> None:
        """Give it its manifest.

        Args:
            name: names its receipts' part file.
            head: of the manifest, JSON.
            on_receipt: takes the lines of receipts that it hands over.
        """
        self.name = name
        self.on_receipt = on_receipt
        self.start_deadline = time.monotonic() + _LONGEST_START_S
        self._send([head, name, self.printed.file])
        self.printed.close()

    def give(self, group: Group) -> None:
        """Hand over tasks; a worker that has just died gets them too, and loses them again."""
        self.groups.append(group)
        self._send([task.to_line() for task in group])

    def read(self, now: float) -> bool:
        """Take in what it says.

        Args:
            now: monotonic clock, seconds.

        Returns:
            False when it has closed its side: it is dead.

        Raises:
            RunError: it met what every other entity would meet, too.
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

    def condemn_if_late(self, now: float) -> bool:
        """Kill it when what it computes, or its start, has taken longer than it may."""
        if not self.is_late(now):
            return False
        if self.computing:
            doing = self.computing
            each_s = doing.timeout_s / len(doing.positions)
            said = f"it took longer than timeout_s={each_s:g}{_while(doing)}"
            self.sentence = Sentence(doing, Failure("Timeout", said))
        self.was_killed = True
        self.kill()
        return True

    def condemn_if_over(self, limit: int, now: float) -> None:
        """Kill it when it holds more memory than what it computes may."""
        doing = self.computing
        if doing is None or not self.memory.is_over(limit, now):
            return
        held = f"it held {shown_bytes(self.memory.held)}, more than memory={shown_bytes(limit)}"
        before = f", of which {shown_bytes(doing.held)} before" if doing.held else ""
        # Much may be left of entities before: only what goes over the limit in a new worker, or
        # in one that held little, has done so itself.
        is_certain = not (doing.held and self.has_finished_any)
        failure = Failure("MemoryLimit", f"{held}{before}{_while(doing)}")
        self.sentence = Sentence(doing, failure, is_certain)
        self.was_killed = True
        self.kill()

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
        forget_worker(self.process.pid)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()

    def cause_of_death(self) -> Failure:
        """Why what it was computing has no result."""
        if self.sentence:
            return self.sentence.failure
        doing = _while(self.computing) if self.computing else ""
        code = self.process.wait()
        if code >= 0:
            return Failure("WorkerExit", f"the worker process ended itself with code {code}{doing}")
        name = _name_of(-code)
        held = self.memory.held
        if -code == signal.SIGKILL and held > _MUCH_MEMORY:
            doing += f"; it held {shown_bytes(held)}, perhaps more than the machine has left"
        return Failure(name, f"the worker process was ended by {name}{doing}")

    def _take(self, frame: list[Any], now: float) -> None:
        match frame:
            case [str(kind), *_] if kind == BEGIN:
                self.computing = Computing(*frame[1:], deadline=now + frame[4])
                self.sentence = None  # it had finished after all
            case [str(kind)] if kind == WAIT:
                self.computing = self.sentence = None
            case [str(kind), str(line)] if kind == RECEIPT:
                self.on_receipt(line.encode())
                self.handed.append(line.encode())
            case [str(kind)] if kind == DONE:
                self.groups.popleft()
                self.handed.clear()
                self.computing = self.sentence = None
                self.has_finished_any = True
                self.printed_before = self.printed.total
            case [str(kind)] if kind == READY:
                self.is_ready = True
            case [str(kind), str(what), str(where), str(fix)] if kind == STOP:
                raise RunError(what, where, fix)
            case [str(kind)] if kind == RETIRE:
                self.is_retiring = self.was_killed = True
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
                self.printed.add(len(data))
                after = self.printed.total - self.printed_before
                room = MOST_SHOWN - after + len(data)
                # Read on whatever becomes of it: user code must not feel that nobody listens.
                with suppress(Exception):
                    if room > 0:
                        self.show(data[:room].decode(errors="replace"))
                    if 0 <= room < len(data):
                        entity = self.groups[0][0].entity if self.groups else "start-up"
                        self.show(f"\n[klio] {entity}: printed more than 64 KiB, the rest is cut\n")


def _name_of(number: int) -> str:
    """SIGSEGV, say; Python has no names for most of the real-time signals."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _while(computing: Computing) -> str:
    together = len(computing.positions)
    return f" while computing '{computing.part}'" + (
        f" of {together} together" if together > 1 else ""
    )
