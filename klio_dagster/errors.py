"""Every exception this library raises on purpose, and the form of its message.

KlioError                      what, where, how to mend
├── ConfigError                mended by whoever wrote the definition, configuration or command
│   └── StoreForbiddenError    the store does not let us read or write there
│       └── StoreLoginError    it does not take who we are, or when
├── EntityError                mended by whoever supplied this one entity (its id or its recording)
│   ├── InvalidEntityIdError   the id itself cannot be used
│   └── CheckFailedError       its output broke a blocking check; carries what was found
├── StoreUnavailableError      mended by whoever runs the store; trying again may help
│   └── StoreFullError         it has no room left
├── ServiceUnavailableError    mended by whoever runs an engine's service; trying again may help
├── ObjectNotFoundError        mended by nobody: the store answered that it has no such object
├── RunError                   mended by whoever runs this: the run as a whole cannot go on
│   ├── EntitiesInFlightError  another process is executing the same run
│   ├── OutputRefusedError     the store takes no outputs: it is full, or closed to us
│   ├── ClaimLostError         others took this run for dead and its entities over
│   ├── JobLeftError           its job elsewhere may go on, and nobody watches it any more
│   └── NoJobError             its service knows of no job for it
├── MessageError               mended by whoever sent the message; it is kept as a dead letter
├── PubSubError                mended by whoever runs Pub/Sub; carries whether trying again may help
│   ├── MessageRefusedError    it takes every message but this one
│   └── PublishError           some messages were not published; carries which and why
└── LedgerError                mended by whoever runs Dagster's instance
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType


class KlioError(Exception):
    """Base of everything this library raises on purpose.

    Args:
        what: what is wrong, without a full stop.
        where: the file, asset, entity or option it is about.
        fix: what the reader should do.
    """

    transient = False  # would the same call succeed later?

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(what, where, fix)  # all three, or the error cannot be unpickled
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"


class ConfigError(KlioError):
    """A definition, an option or a configuration file is wrong."""


class StoreForbiddenError(ConfigError):
    """The store does not let us read or write there."""


class StoreLoginError(StoreForbiddenError):
    """Our credentials have expired, or this machine's clock is so far off that they look so."""


class EntityError(KlioError):
    """One entity cannot be processed; no other entity is concerned."""


class InvalidEntityIdError(EntityError):
    """The entity id breaks the rules for ids."""


class CheckFailedError(EntityError):
    """An output broke a blocking check and was not stored.

    Args:
        what: what is wrong, without a full stop.
        where: whose output it is.
        fix: what the reader should do.
        evaluations: all that was found, as `core.check.Evaluation`.
    """

    def __init__(self, what: str, where: str, fix: str, evaluations: Sequence[object] = ()) -> None:
        super().__init__(what, where, fix)
        self.args = (what, where, fix, evaluations)
        self.evaluations = evaluations


class StoreUnavailableError(KlioError):
    """The store did not answer or refused."""

    transient = True


class StoreFullError(StoreUnavailableError):
    """The store has no room left."""


class ServiceUnavailableError(KlioError):
    """The service that executes an engine's jobs did not answer."""

    transient = True


class ObjectNotFoundError(KlioError):
    """The store has no such object."""


class RunError(KlioError):
    """The run as a whole cannot go on."""


class EntitiesInFlightError(RunError):
    """Another process is executing the same run."""


class OutputRefusedError(RunError):
    """The store takes no outputs: it would refuse those of all other entities, too."""


class ClaimLostError(RunError):
    """Others took this run for dead and its entities over."""


class JobLeftError(RunError):
    """The job at a service may go on, and this run does not watch it any more."""


class NoJobError(RunError):
    """A service knows of no job for a manifest, or not any more."""


class MessageError(KlioError):
    """The bytes of a message are none that can be read."""


class PubSubError(KlioError):
    """Pub/Sub did not do what it was asked: not there, not permitted, not reachable.

    Args:
        what: what is wrong, without a full stop.
        where: the topic, subscription or server.
        fix: what the reader should do.
        transient: the same call may succeed later.
    """

    def __init__(self, what: str, where: str, fix: str, transient: bool = False) -> None:
        super().__init__(what, where, fix)
        self.args = (what, where, fix, transient)
        self.transient = transient


class MessageRefusedError(PubSubError):
    """Pub/Sub takes messages there, and does not take this one."""


class PublishError(PubSubError):
    """Some messages were not published, or nobody said that they were.

    Args:
        what: what is wrong, without a full stop.
        where: the topic.
        fix: what the reader should do.
        transient: the same call may succeed later.
        failed: why, by the message's position in what was to be published. All others are
            confirmed.
    """

    def __init__(
        self,
        what: str,
        where: str,
        fix: str,
        transient: bool = False,
        failed: Mapping[int, PubSubError] = MappingProxyType({}),
    ) -> None:
        super().__init__(what, where, fix, transient)
        self.failed = dict(failed)
        self.args = (what, where, fix, transient, self.failed)


class LedgerError(KlioError):
    """Dagster's event log cannot be read or written."""
