"""`Ledger`: what we ask of Dagster's event log; in batches where that works, else one by one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import dagster as dg

from klio_dagster.core.receipt import Receipt
from klio_dagster.core.record import Attempt, FailedPair, FlaggedPair, Records, Tries
from klio_dagster.ledger import read, write
from klio_dagster.ledger.events import Describe, RunIdentity, asset_key
from klio_dagster.ledger.internals import event_log, flags, removal
from klio_dagster.ledger.public_path import PublicLedger
from klio_dagster.ledger.stamps import Stamps, stamps_of

_NOT_OF_A_RUN = RunIdentity(run_id="", job_name="", step_key=None)


class Ledger(Protocol):
    """Dagster's event log. Asset keys are joined by `/`; `entities=None` means all."""

    def records(self, keys: Sequence[str], entities: Sequence[str] | None) -> Records:
        """What is known of each asset's entities; unknown ones are left out."""
        ...

    def record(self, run: RunIdentity, receipts: Sequence[Receipt]) -> None:
        """Write receipts: materialisations, and observations of failures."""
        ...

    def record_again(self, run: RunIdentity, known: Mapping[str, Sequence[int]]) -> None:
        """Write copies of materialisations (asset key to storage ids) under another run."""
        ...

    def mark_failed(self, run: RunIdentity, pairs: Iterable[tuple[str, str]]) -> None:
        """Have these (asset key, entity) shown failed once the run has failed."""
        ...

    def observe_sources(
        self, run: RunIdentity | None, key: str, versions: Mapping[str, str]
    ) -> None:
        """Write the versions of a source's entities."""
        ...

    def observed_sources(self, key: str, entities: Sequence[str] | None) -> Mapping[str, str]:
        """The versions last observed."""
        ...

    def latest_metadata(self, key: str, entities: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Metadata of the newest materialisation of each entity."""
        ...

    def unpartitioned_version(self, key: str) -> str | None:
        """Data version of an asset without partitions; None if it was never materialised."""
        ...

    def failures(self, keys: Sequence[str], entities: Sequence[str] | None) -> list[FailedPair]:
        """The pairs whose last attempt failed, and why."""
        ...

    def tries(
        self, key: str, entities: Sequence[str] | None, after: Mapping[str, int]
    ) -> Mapping[str, Tries]:
        """How often each entity was tried in vain since it was materialised last.

        Those whose last attempt did not fail are left out. `after` is an entity to the event up to
        which attempts are known, and not fresh.
        """
        ...

    def flagged(
        self, key: str, checks: Sequence[str], entities: Sequence[str] | None
    ) -> list[FlaggedPair]:
        """The entities that one of these checks did not pass when it last looked at them."""
        ...

    def attempts(self, key: str, entities: Sequence[str]) -> Mapping[str, Sequence[Attempt]]:
        """Each entity's newest materialisation, and before it a failure that is newer."""
        ...

    def latest_numbers(self, key: str) -> Mapping[str, Mapping[str, float]]:
        """The numbers among the metadata of every entity's newest materialisation."""
        ...

    def newest_event(self, keys: Sequence[str]) -> int:
        """A number that grows with each event of these assets; 0 before the first."""
        ...

    def stamps(self, key: str) -> Stamps | None:
        """What is known of a whole asset, for counting; None where single records are as fast."""
        ...

    def traces(self, keys: Sequence[str], entities: Iterable[str]) -> Mapping[str, int]:
        """How many events name these entities, by asset key."""
        ...

    def forget(self, keys: Sequence[str], entities: Iterable[str]) -> None:
        """Take every event that names these entities out; calling again changes nothing."""
        ...


class BatchedLedger:
    """The ledger over an event log that `internals.event_log` can write in batches.

    Args:
        instance: Dagster's.
        describe: what the UI shows of a receipt.
    """

    def __init__(self, instance: dg.DagsterInstance, describe: Describe) -> None:
        self._instance = instance
        self._describe = describe

    def records(self, keys: Sequence[str], entities: Sequence[str] | None) -> Records:
        """What is known of each asset's entities."""
        return {key: read.records_of(self._instance, key, entities) for key in keys}

    def record(self, run: RunIdentity, receipts: Sequence[Receipt]) -> None:
        """Write receipts in batches."""
        write.record_receipts(self._instance, run, receipts, self._describe)

    def record_again(self, run: RunIdentity, known: Mapping[str, Sequence[int]]) -> None:
        """Write copies in batches."""
        write.record_copies(self._instance, run, known)

    def mark_failed(self, run: RunIdentity, pairs: Iterable[tuple[str, str]]) -> None:
        """Plan each pair in an event of its own."""
        write.mark_pairs_failed(self._instance, run, pairs)

    def observe_sources(
        self, run: RunIdentity | None, key: str, versions: Mapping[str, str]
    ) -> None:
        """Write the versions of a source's entities."""
        write.observe_versions(self._instance, run or _NOT_OF_A_RUN, key, versions)

    def observed_sources(self, key: str, entities: Sequence[str] | None) -> Mapping[str, str]:
        """The versions last observed."""
        return read.observed_versions(self._instance, key, entities)

    def latest_metadata(self, key: str, entities: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Metadata of the newest materialisation of each entity."""
        return read.metadata_of(self._instance, key, entities)

    def unpartitioned_version(self, key: str) -> str | None:
        """Data version of an asset without partitions."""
        return read.newest_version(self._instance, key)

    def failures(self, keys: Sequence[str], entities: Sequence[str] | None) -> list[FailedPair]:
        """The pairs whose last attempt failed."""
        return [
            failed for key in keys for failed in read.failures_of(self._instance, key, entities)
        ]

    def tries(
        self, key: str, entities: Sequence[str] | None, after: Mapping[str, int]
    ) -> Mapping[str, Tries]:
        """How often each entity was tried in vain since it was materialised last."""
        return read.tries_of(self._instance, key, entities, after)

    def flagged(
        self, key: str, checks: Sequence[str], entities: Sequence[str] | None
    ) -> list[FlaggedPair]:
        """The entities that one of these checks did not pass when it last looked at them."""
        found = flags.flags_of(self._instance, asset_key(key), checks, entities)
        return [FlaggedPair(key, *flag) for flag in found]

    def attempts(self, key: str, entities: Sequence[str]) -> Mapping[str, Sequence[Attempt]]:
        """Each entity's newest materialisation, and before it a failure that is newer."""
        return read.attempts_of(self._instance, key, entities)

    def latest_numbers(self, key: str) -> Mapping[str, Mapping[str, float]]:
        """The numbers among the metadata of every entity's newest materialisation."""
        return read.numbers_of(self._instance, key)

    def newest_event(self, keys: Sequence[str]) -> int:
        """A number that grows with each event of these assets."""
        return read.newest_event(self._instance, keys)

    def stamps(self, key: str) -> Stamps | None:
        """What is known of a whole asset, for counting; None where single records are as fast."""
        return stamps_of(self._instance, key)

    def traces(self, keys: Sequence[str], entities: Iterable[str]) -> Mapping[str, int]:
        """How many events name these entities, by asset key."""
        return removal.events_of(self._instance, [asset_key(key) for key in keys], entities)

    def forget(self, keys: Sequence[str], entities: Iterable[str]) -> None:
        """Take every event that names these entities out; calling again changes nothing."""
        removal.forget(self._instance, [asset_key(key) for key in keys], entities)


def ledger_of(
    instance: dg.DagsterInstance,
    context: dg.AssetExecutionContext | None = None,
    *,
    describe: Describe,
) -> Ledger:
    """The ledger of an instance.

    Args:
        instance: Dagster's.
        context: of the op that records; None outside of a run.
        describe: what the UI shows of a receipt.
    """
    if event_log.batches(instance):
        return BatchedLedger(instance, describe)
    return PublicLedger(instance, context, describe)
