"""`Message`: what a message says, whatever its version; `new_message`: one that nobody sent yet."""

from dataclasses import dataclass, field

from klio_dagster.core.ids import check_id
from klio_dagster.core.job import JobId
from klio_dagster.errors import ConfigError

_WHERE = "message"


@dataclass(frozen=True, slots=True)
class Anyone:
    """Every job that gets the message works on it: top-down."""


@dataclass(frozen=True, slots=True)
class Limited:
    """Only some jobs work on the message: bottom-up.

    Args:
        recipients: those jobs. One without a project or a name is on the wire, but not here.
        trigger_children_of: the job from which on the message is for anyone.
    """

    recipients: tuple[JobId, ...]
    trigger_children_of: JobId | None = None


Recipients = Anyone | Limited
ANYONE = Anyone()


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One job a message has gone through.

    Args:
        job: which; None when whoever wrote it left out its project or its name.
        at: when, seconds since the epoch.
    """

    job: JobId | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message in Klio's terms.

    Two are equal when they say the same: `raw` and `details` are not compared.

    Args:
        entity_id: whom it is about; as it came, so it may break the rules for ids.
        version: of the wire format, 1 or 2.
        force: compute it although it is up to date.
        ping: only pass it on. Wins over `force`.
        recipients: whose work it is; None when a message of version 2 does not say (it is dropped).
            Version 1 knows no `trigger_children_of`, and its empty list means anyone.
        audit_log: the jobs it has gone through, first to last.
        payload: what a job may have added; at most Pub/Sub's 10 MB.
        raw: the bytes as they were received.
        details: the Klio message it was read from: what else stands there is passed on. Empty for
            a message that was made here or came from another sender.

    Raises:
        ConfigError: there is no such version, or version 1 cannot say this.
    """

    entity_id: str
    version: int = 2
    force: bool = False
    ping: bool = False
    recipients: Recipients | None = ANYONE
    audit_log: tuple[AuditEntry, ...] = ()
    payload: bytes = b""
    raw: bytes = field(default=b"", compare=False, repr=False)
    details: bytes = field(default=b"", compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.version not in (1, 2):
            raise ConfigError(f"version is {self.version}", where=_WHERE, fix="use 1 or 2")
        if self.version == 1:
            match self.recipients:
                case None:
                    raise ConfigError("version 1 is for somebody", where=_WHERE, fix="use ANYONE")
                case Limited(trigger_children_of=JobId()):
                    what = "version 1 has no trigger_children_of"
                    raise ConfigError(what, where=_WHERE, fix="use version 2")
                case _:
                    pass


def new_message(
    entity: str,
    *,
    force: bool = False,
    ping: bool = False,
    to: Recipients = ANYONE,
    version: int = 2,
) -> Message:
    """A message about an entity, as Klio would publish it.

    Args:
        entity: entity id.
        force: compute it although it is up to date.
        ping: only pass it on.
        to: whose work it is.
        version: of the wire format, 1 or 2.

    Raises:
        InvalidEntityIdError: the id breaks the rules for ids.
        ConfigError: it is for nobody, or the version is none or cannot say this.
    """
    if isinstance(to, Limited) and not to.recipients:
        raise ConfigError("it is for nobody", where=_WHERE, fix="name recipients or use ANYONE")
    return Message(
        entity_id=check_id(entity), force=force, ping=ping, recipients=to, version=version
    )
