"""`accepts`: whether a message is for a job."""

from dataclasses import dataclass, replace

from klio_dagster.core.job import JobId
from klio_dagster.message.message import ANYONE, Anyone, Limited, Message


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job works on it, or passes it on.

    Args:
        message: as it is passed on: for anyone, when this is the job from which on it is.
    """

    message: Message


@dataclass(frozen=True, slots=True)
class Dropped:
    """Nobody's fault, and nothing to do here.

    Args:
        reason: one word, for counting: `not_recipient`, `no_recipients`, and those of decoders.
    """

    reason: str


def accepts(message: Message, job: JobId) -> Accepted | Dropped:
    """Whether the message is for the job.

    Args:
        message: of either version.
        job: compared by project and by name.
    """
    match message.recipients:
        case None:
            return Dropped("no_recipients")
        case Anyone():
            return Accepted(message)
        case Limited(recipients) if job not in recipients:
            return Dropped("not_recipient")
        case Limited(trigger_children_of=trigger) if trigger == job:
            return Accepted(replace(message, recipients=ANYONE))
        case Limited():
            return Accepted(message)
