"""What the ledger knows of one (asset, entity)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

NO_VERSIONS: Mapping[str, str] = MappingProxyType({})


class FailedAttempt(NamedTuple):
    """What an attempt that failed was made with."""

    kind: str
    """Name of the exception, signal or reason."""
    code_version: str | None = None
    input_versions: Mapping[str, str] = NO_VERSIONS
    """Data version of each input by asset key, as far as it came to be known."""


class Record(NamedTuple):
    """The ledger's knowledge of one (asset, entity); the newest of each kind.

    A named tuple, because a plan over a catalogue holds a million of them.
    """

    materialized: bool
    """An output was recorded, and may be loaded."""
    failed: bool
    """The last attempt failed, whatever was recorded before it."""
    code_version: str | None = None
    """Of the materialisation."""
    data_version: str | None = None
    """Hash of the stored bytes, of the materialisation."""
    input_versions: Mapping[str, str] = NO_VERSIONS
    """Data version of each input by asset key, as the materialisation recorded them."""
    timestamp: float = 0.0
    """When the last attempt finished, seconds since the epoch."""
    storage_id: int | None = None
    """Where the materialisation stands in the event log."""
    attempt: FailedAttempt | None = None
    """The last one, if it failed and said so."""
    event_id: int | None = None
    """Where the last attempt stands in the event log."""


Records = Mapping[str, Mapping[str, Record]]
"""Asset key (joined by `/`) to entity id to record."""


class FailedPair(NamedTuple):
    """Why the last attempt at an (asset, entity) failed.

    Args:
        asset: asset key.
        entity: entity id.
        kind: name of the exception, signal or reason.
        error: one line.
        run_id: the run that tried.
    """

    asset: str
    entity: str
    kind: str
    error: str
    run_id: str


class Tries(NamedTuple):
    """How often something was tried in vain since it was materialised last."""

    failed: int
    """Attempts; that one was not made because of another failure is none."""
    fresh: int
    """Those of them that somebody who remembers an earlier one does not know yet."""
    last_at: float
    """When the last one ended, seconds since the epoch."""
    event_id: int
    """Where the last one stands in the event log; also one that was not made."""

    def and_(self, other: "Tries") -> "Tries":
        """Of two outputs of one entity: as often as the one that was tried more often."""
        return Tries(
            failed=max(self.failed, other.failed),
            fresh=max(self.fresh, other.fresh),
            last_at=max(self.last_at, other.last_at),
            event_id=max(self.event_id, other.event_id),
        )


class FlaggedPair(NamedTuple):
    """An output that is stored though a check did not pass.

    Args:
        asset: asset key.
        entity: entity id.
        check: name of the check.
        description: what it found, one line; empty where it says nothing.
    """

    asset: str
    entity: str
    check: str
    description: str

    def __str__(self) -> str:
        return f"check '{self.check}' failed" + (f": {self.description}" * bool(self.description))


class Attempt(NamedTuple):
    """How an attempt at an (asset, entity) ended, with all that people are shown of it."""

    failure: str | None
    """Name of the exception, signal or reason; None: the output was materialised."""
    timestamp: float
    """When it ended, seconds since the epoch."""
    run_id: str
    """The run that tried."""
    storage_id: int
    """Where it stands in the event log."""
    tags: Mapping[str, str]
    """Those of the event: versions of the code, of the data and of each input."""
    metadata: Mapping[str, Any]
    """As plain values."""
