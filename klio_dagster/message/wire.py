"""`decode` and `encode`: bytes and `Message`, with the versions of the format normalised.

A message that is passed on is written into a copy of what was received, and only what differs: so
fields of later versions, and those of version 1 that nobody reads, arrive at the next job.
"""

from collections.abc import Iterable
from typing import Protocol

from google.protobuf.message import DecodeError

from klio_dagster.core.job import JobId
from klio_dagster.errors import MessageError
from klio_dagster.message.klio_pb2 import UNKNOWN, V1, V2, KlioJob, KlioMessage, Metadata
from klio_dagster.message.message import (
    ANYONE,
    Anyone,
    AuditEntry,
    Limited,
    Message,
    Recipients,
)

_GIGA = 10**9
_MEGA = 10**6


def decode(data: bytes, *, job: JobId, allow_non_klio: bool = False) -> Message:
    """The message in these bytes.

    Args:
        data: as they were received.
        job: who received them; named when they are refused.
        allow_non_klio: bytes that are no Klio message are the entity id itself, for anyone.

    Raises:
        MessageError: they are no Klio message, or one that names no entity.
    """
    proto = _parsed(data)
    if proto is not None:
        return _read(proto, data, job)
    if not allow_non_klio:
        raise MessageError(
            f"its {len(data)} bytes are no Klio message",
            where=received_by(job),
            fix="send Klio's protobuf, or set allow_non_klio where ids are sent as they are",
        )
    return plain_id(data, job)


def encode(message: Message) -> bytes:
    """The bytes to publish: byte for byte what Klio would."""
    proto = KlioMessage()
    if message.details:
        proto.ParseFromString(message.details)
        _normalise(proto)
        _write(proto, _view(proto, _element(proto).decode()), message)
    else:
        proto.metadata.SetInParent()  # Klio's is there, also when nothing is in it
        proto.version = V1 if message.version == 1 else V2
        said_nothing = None if message.version == 2 else ANYONE
        blank = Message(entity_id="", version=message.version, recipients=said_nothing)
        _write(proto, blank, message)
    return proto.SerializeToString()


def plain_id(data: bytes, job: JobId) -> Message:
    """The message that a bare entity id stands for: version 2, for anyone.

    Raises:
        MessageError: the bytes are empty or not UTF-8.
    """
    if not data:
        raise MessageError("it is empty", where=received_by(job), fix="send an entity id")
    return Message(entity_id=_text(data, job), raw=data)


def received_by(job: JobId) -> str:
    """Where an error about a message is."""
    return f"message received by {job}"


def _parsed(data: bytes) -> KlioMessage | None:
    """The Klio message these bytes are, if they are one.

    Many texts are valid protobuf, made of fields that Klio's messages do not have: `123456789` is
    one. So a message needs one that they have; its tag is a control character, so no text that may
    be an id has one.
    """
    try:
        proto = KlioMessage.FromString(data)
    except (DecodeError, ValueError, RecursionError):  # the last two: protobuf without C
        return None
    is_klio = proto.HasField("metadata") or proto.HasField("data") or proto.version
    return proto if is_klio else None


def _read(proto: KlioMessage, data: bytes, job: JobId) -> Message:
    if proto.version not in (UNKNOWN, V1, V2):
        raise MessageError(
            f"its version is {proto.version}", where=received_by(job), fix="send version 1 or 2"
        )
    _normalise(proto)
    if not _element(proto):
        raise MessageError(
            "it names no entity", where=received_by(job), fix="set data.element to an entity id"
        )
    return _view(proto, _text(_element(proto), job), data)


def _normalise(proto: KlioMessage) -> None:
    """Give it the version and the element that Klio gives it when it receives it.

    What has both ids and no version stays without one, and is read as version 1.
    """
    data = proto.data
    if proto.version == UNKNOWN and not (data.entity_id and data.element):
        proto.version = V2 if data.element else V1
    if data.entity_id and not data.element:
        data.element = data.entity_id.encode()


def _view(proto: KlioMessage, entity_id: str, raw: bytes = b"") -> Message:
    """What a normalised message says."""
    metadata = proto.metadata
    version = 2 if proto.version == V2 else 1
    return Message(
        entity_id=entity_id,
        version=version,
        force=metadata.force,
        ping=metadata.ping,
        recipients=_intended(metadata) if version == 2 else _downstream(metadata),
        audit_log=tuple(
            AuditEntry(
                _job(item.klio_job),
                (item.timestamp.seconds * _GIGA + item.timestamp.nanos) / _GIGA,
            )
            for item in metadata.job_audit_log
        ),
        payload=proto.data.payload,
        raw=raw,
        details=raw,
    )


def _intended(metadata: Metadata) -> Recipients | None:
    """The recipients of version 2."""
    recipients = metadata.intended_recipients
    match recipients.WhichOneof("recipients"):
        case "anyone":
            return ANYONE
        case "limited":
            return Limited(
                _jobs(recipients.limited.recipients), _job(recipients.limited.trigger_children_of)
            )
        case _:
            return None


def _downstream(metadata: Metadata) -> Recipients:
    """The recipients of version 1."""
    return Limited(_jobs(metadata.downstream)) if metadata.downstream else ANYONE


def _job(job: KlioJob) -> JobId | None:
    if job.gcp_project and job.job_name:
        return JobId(job.gcp_project, job.job_name)
    return None


def _jobs(jobs: Iterable[KlioJob]) -> tuple[JobId, ...]:
    return tuple(found for found in map(_job, jobs) if found is not None)


def _element(proto: KlioMessage) -> bytes:
    return proto.data.element


def _text(data: bytes, job: JobId) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MessageError(
            "its entity id is not UTF-8", where=received_by(job), fix="send the id as UTF-8"
        ) from error


def _write(proto: KlioMessage, before: Message, message: Message) -> None:
    """Write what differs from what is there."""
    metadata, data = proto.metadata, proto.data
    recipients_before = before.recipients
    if message.version != before.version:
        proto.version = V1 if message.version == 1 else V2
        metadata.ClearField("downstream")
        metadata.ClearField("intended_recipients")
        recipients_before = None
    if message.entity_id != before.entity_id:
        if message.version == 1:
            data.entity_id = message.entity_id
        if message.version == 2 or data.element:
            data.element = message.entity_id.encode()
    if message.payload != before.payload:
        data.payload = message.payload
    if message.force != before.force:
        metadata.force = message.force
    if message.ping != before.ping:
        metadata.ping = message.ping
    if message.recipients != recipients_before:
        _write_recipients(metadata, message, recipients_before)
    _write_audit_log(metadata, before.audit_log, message.audit_log)


def _write_recipients(metadata: Metadata, message: Message, before: Recipients | None) -> None:
    known = before.recipients if isinstance(before, Limited) else ()
    match message.recipients:
        case Limited(recipients) if message.version == 1:
            _write_jobs(metadata.downstream, known, recipients)
        case _ if message.version == 1:
            metadata.ClearField("downstream")
        case Limited(recipients, trigger):
            limited = metadata.intended_recipients.limited
            limited.SetInParent()
            _write_jobs(limited.recipients, known, recipients)
            limited.ClearField("trigger_children_of")
            if trigger is not None:
                limited.trigger_children_of.CopyFrom(_klio_job(trigger))
        case Anyone():
            metadata.intended_recipients.anyone.SetInParent()
        case None:
            metadata.ClearField("intended_recipients")


class _Jobs(Protocol):
    """A repeated field of jobs."""

    def extend(self, jobs: Iterable[KlioJob], /) -> None: ...
    def clear(self) -> None: ...


def _write_jobs(field: _Jobs, before: tuple[JobId, ...], jobs: tuple[JobId, ...]) -> None:
    """Append what is new, so that what else is said of the others stays; else write all anew."""
    if jobs[: len(before)] == before:
        jobs = jobs[len(before) :]
    else:
        field.clear()
    field.extend(map(_klio_job, jobs))


def _write_audit_log(
    metadata: Metadata, before: tuple[AuditEntry, ...], log: tuple[AuditEntry, ...]
) -> None:
    if log[: len(before)] == before:
        log = log[len(before) :]
    else:
        metadata.ClearField("job_audit_log")
    for entry in log:
        item = metadata.job_audit_log.add()
        seconds, micros = divmod(round(entry.at * _MEGA), _MEGA)
        item.timestamp.seconds, item.timestamp.nanos = seconds, micros * 1000
        if entry.job is not None:
            item.klio_job.CopyFrom(_klio_job(entry.job))


def _klio_job(job: JobId) -> KlioJob:
    return KlioJob(job_name=job.job_name, gcp_project=job.gcp_project)
