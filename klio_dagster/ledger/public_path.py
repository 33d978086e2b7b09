"""The ledger through Dagster's public API: an event at a time, slow, on every storage.

It cannot show a partition failed in a run that names entities (that needs an event per key that
only Dagster writes); the failure's observation is on its page all the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import dagster as dg

from klio_dagster.core.receipt import Receipt
from klio_dagster.core.record import NO_VERSIONS, FailedPair, Record, Records
from klio_dagster.ledger.events import (
    Describe,
    Pointers,
    RunIdentity,
    asset_key,
    failure_observation,
    inputs_of,
    materialization,
    source_observation,
)
from klio_dagster.ledger.provenance import CODE_VERSION, DATA_VERSION, FAILURE, input_versions
from klio_dagster.ledger.read import newest_version

_A_PAGE = 1000


class PublicLedger:
    """The ledger over any event log.

    Args:
        instance: Dagster's.
        context: of the op that records; None outside of a run.
        describe: what the UI shows of a receipt.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        context: dg.AssetExecutionContext | None,
        describe: Describe,
    ) -> None:
        self._instance = instance
        self._context = context
        self._describe = describe

    def records(self, keys: Sequence[str], entities: Sequence[str] | None) -> Records:
        """What is known of each asset's entities."""
        return {key: self._records_of(key, entities) for key in keys}

    def record(self, run: RunIdentity, receipts: Sequence[Receipt]) -> None:
        """Write receipts one by one. Outside of their run they become events of no run."""
        for receipt in receipts:
            if receipt.failure:
                self._log(failure_observation(receipt))
                continue
            known: dict[tuple[str, str], tuple[int, str | None]] = {}
            for key, entities in inputs_of([receipt]).items():
                newest = self._newest(key, sorted(entities), materialized=True) or self._newest(
                    key, sorted(entities), materialized=False
                )
                for entity, record in newest.items():
                    known[key, entity] = (record.storage_id, _version(record))
            pointers = Pointers(known).of(receipt, {})
            self._log(materialization(receipt, pointers, self._describe))

    def mark_failed(self, run: RunIdentity, pairs: Iterable[tuple[str, str]]) -> None:
        """Nothing: there is no public way; see the module."""

    def observe_sources(
        self, run: RunIdentity | None, key: str, versions: Mapping[str, str]
    ) -> None:
        """Write the versions of a source's entities one by one."""
        for entity, version in versions.items():
            self._log(source_observation(key, entity, version))

    def observed_sources(self, key: str, entities: Sequence[str] | None) -> Mapping[str, str]:
        """The versions last observed."""
        return {
            entity: _version(record) or ""
            for entity, record in self._newest(key, entities, materialized=False).items()
        }

    def latest_metadata(self, key: str, entities: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Metadata of the newest materialisation of each entity."""
        found: dict[str, Mapping[str, Any]] = {}
        for entity, record in self._newest(key, entities, materialized=True).items():
            made = record.asset_materialization
            if made is not None:
                found[entity] = {name: value.value for name, value in made.metadata.items()}
        return found

    def unpartitioned_version(self, key: str) -> str | None:
        """Data version of an asset without partitions."""
        return newest_version(self._instance, key)

    def failures(self, keys: Sequence[str], entities: Sequence[str] | None) -> list[FailedPair]:
        """The pairs whose last attempt failed."""
        found: list[FailedPair] = []
        for key in keys:
            made = self._newest(key, entities, materialized=True)
            for entity, record in self._newest(key, entities, materialized=False).items():
                kind = _tags(record).get(FAILURE)
                is_newer = entity not in made or record.storage_id > made[entity].storage_id
                if kind is not None and is_newer:
                    seen = record.asset_observation
                    text = (seen.description if seen else None) or kind
                    found.append(FailedPair(key, entity, kind, text, record.run_id))
        return found

    def _records_of(self, key: str, entities: Sequence[str] | None) -> dict[str, Record]:
        records: dict[str, Record] = {}
        for entity, made in self._newest(key, entities, materialized=True).items():
            tags = _tags(made)
            records[entity] = Record(
                materialized=True,
                failed=False,
                code_version=tags.get(CODE_VERSION),
                data_version=tags.get(DATA_VERSION),
                input_versions=input_versions(tags) or NO_VERSIONS,
                timestamp=made.timestamp,
                storage_id=made.storage_id,
            )
        never = Record(materialized=False, failed=False)
        for entity, seen in self._newest(key, entities, materialized=False).items():
            before = records.get(entity, never)
            if FAILURE in _tags(seen) and seen.storage_id > (before.storage_id or 0):
                records[entity] = before._replace(failed=True, timestamp=seen.timestamp)
        return records

    def _newest(
        self, key: str, entities: Sequence[str] | None, *, materialized: bool
    ) -> dict[str, dg.EventLogRecord]:
        """The newest event of each partition asked for."""
        newest: dict[str, dg.EventLogRecord] = {}
        for chunk in [None] if entities is None else _chunks(entities):
            for record in self._pages(key, chunk, materialized=materialized):
                partition = record.partition_key
                if partition is not None and partition not in newest:
                    newest[partition] = record
        return newest

    def _pages(
        self, key: str, entities: Sequence[str] | None, *, materialized: bool
    ) -> Iterator[dg.EventLogRecord]:
        """All events of a kind, newest first."""
        fetch = (
            self._instance.fetch_materializations
            if materialized
            else self._instance.fetch_observations
        )
        wanted = dg.AssetRecordsFilter(asset_key=asset_key(key), asset_partitions=entities)
        cursor = None
        while True:
            page = fetch(wanted, limit=_A_PAGE, cursor=cursor)
            yield from page.records
            if not page.has_more:
                return
            cursor = page.cursor

    def _log(self, event: dg.AssetMaterialization | dg.AssetObservation) -> None:
        if self._context is not None:
            self._context.log_event(event)
        else:
            self._instance.report_runless_asset_event(event)


def _tags(record: dg.EventLogRecord) -> Mapping[str, str]:
    seen = record.asset_materialization or record.asset_observation
    return (seen.tags or {}) if seen else {}


def _version(record: dg.EventLogRecord) -> str | None:
    return _tags(record).get(DATA_VERSION)


def _chunks(values: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(values)
    while chunk := list(islice(rest, _A_PAGE)):
        yield chunk
