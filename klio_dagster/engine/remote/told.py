"""What a driver tells its launcher of a job: JSON frames on a pipe of their own.

And the other way, on its standard input: a line that orders the job's end. The pipe's own end
orders nothing: the launcher has gone, and the job goes on.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, cast

from klio_dagster.engine.frames import encode_frame, send
from klio_dagster.engine.remote.job import Bill, JobInfo, Message, State

CANCEL = "cancel"


class Kind(StrEnum):
    """Of an ending."""

    OVER = ""
    CONFIG = "config"
    LEFT = "left"
    NO_JOB = "no_job"


@dataclass(frozen=True, slots=True)
class Change:
    """A job has come into another state.

    Args:
        state: of the job.
        shown: the same in its service's own word.
    """

    state: State
    shown: str


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the driver ends without all receipts.

    Args:
        what: is wrong.
        where: it is.
        fix: how it is mended.
        kind: `CONFIG` where the engine's options are to blame, `LEFT` where the job may go on,
            `NO_JOB` where there is none to be found, else `OVER`.
    """

    what: str
    where: str
    fix: str
    kind: Kind = Kind.OVER

    @property
    def may_go_on(self) -> bool:
        """Nobody knows that the job has ended."""
        return self.kind is Kind.LEFT


Told = JobInfo | Change | Message | Bill | Ending
Tell = Callable[[Told], None]

_KINDS: dict[str, type[Told]] = {
    "job": JobInfo,
    "state": Change,
    "message": Message,
    "bill": Bill,
    "ending": Ending,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def teller(pipe: int | None) -> Tell:
    """What writes to a launcher's pipe; says nothing where there is none."""

    def tell(told: Told) -> None:
        if pipe is not None:
            # Whoever reads it may have gone; the end of its orders says so as well.
            try:
                send(pipe, [_NAMES[type(told)], asdict(told)])
            except OSError:
                return

    return tell


def told_of(frame: object) -> Told:
    """What a frame says.

    Raises:
        ValueError: it is no frame of a driver.
    """
    match frame:
        case [str(name), dict()] if name in _KINDS:
            fields = cast("dict[str, Any]", frame[1])
            if name == "state":
                return Change(State(fields["state"]), fields["shown"])
            if name == "ending":
                return Ending(**fields | {"kind": Kind(fields["kind"])})
            return _KINDS[name](**fields)
        case _:
            raise ValueError(f"a driver sent {frame!r}")


def order_cancel(pipe: int, why: str) -> None:
    """Have the driver at the other end of a pipe cancel its job.

    Raises:
        OSError: it has gone.
    """
    os.write(pipe, encode_frame([CANCEL, why]))
