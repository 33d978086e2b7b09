"""`merged`: one message instead of two about the same entity."""

from dataclasses import replace

from klio_dagster.message.message import Anyone, Limited, Message, Recipients


def merged(a: Message, b: Message) -> Message | None:
    """One message that asks every job for what the two ask it for, or None if there is none.

    Force beats no force where both are for the same jobs. The audit log, and what else stands in
    them, are the first's.

    Args:
        a: the earlier one.
        b: the later one.
    """
    same = ("entity_id", "version", "payload", "ping")
    if any(getattr(a, name) != getattr(b, name) for name in same):
        return None
    recipients = _of_both(a, b)
    if recipients is None:
        return None
    return replace(a, recipients=recipients, force=a.force or b.force)


def _of_both(a: Message, b: Message) -> Recipients | None:
    match a.recipients, b.recipients:
        case Anyone(), Anyone():
            return a.recipients
        case Limited(jobs, trigger), Limited(others, other_trigger) if trigger == other_trigger:
            if set(jobs) != set(others) and (a.version == 1 or a.force != b.force):
                return None  # force would reach jobs that were not asked for it
            return Limited((*jobs, *(job for job in others if job not in jobs)), trigger)
        case _:
            return None
