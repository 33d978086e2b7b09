"""The audit log of a message: extended, never rewritten."""

from dataclasses import replace

from klio_dagster.core.job import JobId
from klio_dagster.message.message import AuditEntry, Message


def extended(message: Message, job: JobId, at: float) -> Message:
    """The message with one more entry: it has gone through this job.

    Args:
        message: one that `accepts` took.
        job: which job.
        at: when, seconds since the epoch; kept to the microsecond.
    """
    return replace(message, audit_log=(*message.audit_log, AuditEntry(job, at)))
