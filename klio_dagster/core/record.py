"""What the ledger knows of one (asset, entity)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

NO_VERSIONS: Mapping[str, str] = MappingProxyType({})


class Attempt(NamedTuple):
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
    attempt: Attempt | None = None
    """The last one, if it failed and said so."""


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
