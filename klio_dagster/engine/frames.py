"""What pool and worker say to each other: JSON frames, a line each, on a pipe."""

import json
import os
from dataclasses import dataclass
from typing import Any

_READ_AT_ONCE = 1 << 16

READY = "ready"
"""Worker: it has imported what it needs."""
BEGIN = "begin"
"""Worker: `[BEGIN, positions, asset, part, timeout_s, started_at, earlier, held]`, about to compute
a part for an asset of some of the entities it was given; `held` bytes of memory before that."""
WAIT = "wait"
"""Worker: it waits before the next attempt; nothing is being computed."""
RECEIPT = "receipt"
"""Worker: `[RECEIPT, line]`, an asset of an entity has its receipt, which the supervisor is to make
durable. Only where the store is a bucket: else the worker has done so itself."""
DONE = "done"
"""Worker: every asset of the entities given together has its receipt."""
STOP = "stop"
"""Worker: `[STOP, what, where, fix]`, an error that every other entity would meet, too; it
waits to be ended with all the others."""
RETIRE = "retire"
"""Worker: an entity left processes behind; it waits to be replaced."""


def encode_frame(content: object) -> bytes:
    """A frame as bytes."""
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def send(pipe: int, *contents: object) -> None:
    """Write frames whole, in one go.

    Raises:
        OSError: the other side has gone.
    """
    data = memoryview(b"".join(encode_frame(content) for content in contents))
    while data:
        data = data[os.write(pipe, data) :]


@dataclass(slots=True)
class FrameReader:
    """Takes frames off a pipe, as many as have arrived."""

    pipe: int
    _rest: bytes = b""

    def read(self) -> list[Any] | None:
        """The frames of one read; None at the end of the pipe.

        A frame cut off by the end of the pipe is dropped: its sender is dead.
        """
        try:
            data = os.read(self.pipe, _READ_AT_ONCE)
        except ConnectionResetError:
            data = b""
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]
