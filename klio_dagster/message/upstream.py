"""`request_upstream`: ask the job that makes a missing input for it; `answers`: it came back."""

from dataclasses import replace

from klio_dagster.core.job import JobId
from klio_dagster.message.message import Anyone, Limited, Message
from klio_dagster.message.routing import Accepted, accepts


def request_upstream(message: Message, me: JobId, upstream: JobId) -> Message:
    """The message to publish to the job that makes the input.

    It comes back with its mode, however many jobs ask the one above them: one for anyone is limited
    on its way up and for anyone again from `me` on; one that was limited stays so, with those added
    who are on the way. No other child of `upstream` works on it.

    Version 1 cannot name the job from which on a message is for anyone, so one for anyone goes on
    as version 2. The payload of version 2 is cleared (that of version 1 never changes), and
    `force`, which asks for work of ours only.

    Args:
        message: as it was accepted.
        me: who lacks the input.
        upstream: who makes it.

    Raises:
        ValueError: it says no recipients, so it was not accepted.
    """
    match message.recipients:
        case Anyone():
            recipients = Limited(_once(upstream, me), me)
        case Limited(jobs, trigger):
            recipients = Limited((*jobs, *_new(jobs, _once(upstream, me))), trigger)
        case None:
            raise ValueError("a message without recipients is dropped, and asks for nothing")
    version = 2 if isinstance(message.recipients, Anyone) else message.version
    return replace(
        message,
        version=version,
        recipients=recipients,
        force=False,
        payload=message.payload if version == 1 else b"",
    )


def answers(message: Message, original: Message, me: JobId, upstream: JobId) -> bool:
    """Whether a message is what a request upstream came back as, and asks for nothing else.

    It has gone through us after all that the original has gone through, and whom it is for is what
    the request makes of the original. So the original says everything it says.

    Args:
        message: as it was accepted.
        original: as it was accepted, and waits for the input.
        me: who lacked it.
        upstream: who makes it.
    """
    before = len(original.audit_log)
    since = message.audit_log[before:]
    if message.audit_log[:before] != original.audit_log or not since or since[0].job != me:
        return False
    request = request_upstream(original, me, upstream)
    said = ("entity_id", "version", "payload", "ping", "force")
    if any(getattr(message, name) != getattr(request, name) for name in said):
        return False
    back = accepts(request, me)
    match back, message.recipients:
        case Accepted(Message(recipients=Anyone())), Anyone():
            return True
        case Accepted(Message(recipients=Limited(asked, trigger))), Limited(jobs, other_trigger):
            return trigger == other_trigger and set(asked) <= set(jobs)
        case _:
            return False


def _once(*jobs: JobId) -> tuple[JobId, ...]:
    return tuple(dict.fromkeys(jobs))


def _new(known: tuple[JobId, ...], jobs: tuple[JobId, ...]) -> tuple[JobId, ...]:
    return tuple(job for job in jobs if job not in known)
