"""The ledger through Dagster's public API: an event at a time, slow, on every storage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, cast

import dagster as dg

from klio_dagster.core.receipt import UPSTREAM_FAILED, Receipt
from klio_dagster.core.record import (
    NO_VERSIONS,
    Attempt,
    FailedPair,
    FlaggedPair,
    Record,
    Records,
    Tries,
)
from klio_dagster.ledger.copies import copies
from klio_dagster.ledger.events import (
    Describe,
    Pointers,
    RunIdentity,
    asset_key,
    check_evaluation,
    failure_observation,
    materialization,
    source_observation,
)
from klio_dagster.ledger.internals import check_log, event_log, removal
from klio_dagster.ledger.provenance import (
    CODE_VERSION,
    DATA_VERSION,
    FAILURE,
    attempt_of,
    computed_at,
    input_versions,
)
from klio_dagster.ledger.read import counted, newest_event, newest_version, numbers_among
from klio_dagster.ledger.stamps import Stamps

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
        """Write receipts one by one, in the order in which they finished."""
        for receipt in sorted(receipts, key=lambda receipt: receipt.finished_at):
            if receipt.failure:
                self._log(run, failure_observation(receipt), receipt.finished_at)
            elif not receipt.is_look:
                event = materialization(receipt, self._pointers(receipt), self._describe)
                self._log(run, event, receipt.finished_at)
            target = (
                self._newest_materialization(receipt.asset, receipt.entity)
                if receipt.checks
                else None
            )
            for evaluation in receipt.checks:
                checked = check_evaluation(receipt, evaluation, target)
                self._log(run, checked, receipt.finished_at)

    def record_again(self, run: RunIdentity, known: Mapping[str, Sequence[int]]) -> None:
        """Write copies one by one."""
        for key, storage_ids in known.items():
            for copy in copies(self._instance, key, storage_ids):
                self._log(run, copy.event, None)
                for check in copy.checks:
                    target = self._newest_materialization(key, copy.event.partition or "")
                    if target is not None:
                        self._log(run, check_log.of_copy(check, target), None)

    def mark_failed(self, run: RunIdentity, pairs: Iterable[tuple[str, str]]) -> None:
        """Plan each pair in an event of its own."""
        for key, entity in pairs:
            planned = event_log.Planned(asset_key(key), entity)
            event = event_log.dagster_event(run, planned)
            self._instance.report_dagster_event(event, run_id=run.run_id)

    def observe_sources(
        self, run: RunIdentity | None, key: str, versions: Mapping[str, str]
    ) -> None:
        """Write the versions of a source's entities one by one."""
        for entity, version in versions.items():
            self._log(run, source_observation(key, entity, version), None)

    def observed_sources(self, key: str, entities: Sequence[str] | None) -> Mapping[str, str]:
        """The versions last observed."""
        return {
            entity: _tags(record).get(DATA_VERSION, "")
            for entity, record in self._newest(key, entities, materialized=False).items()
        }

    def latest_metadata(self, key: str, entities: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Metadata of the newest materialisation of each entity."""
        newest = self._newest(key, entities, materialized=True)
        return {entity: _metadata(record) for entity, record in newest.items()}

    def attempts(self, key: str, entities: Sequence[str]) -> Mapping[str, Sequence[Attempt]]:
        """Each entity's newest materialisation, and before it a failure that is newer."""
        made = self._newest(key, entities, materialized=True)
        found = {entity: [_attempt(record)] for entity, record in made.items()}
        for entity, record in self._newest(key, entities, materialized=False, tag=FAILURE).items():
            before = found.get(entity, [])
            is_news = not before or record.storage_id > before[0].storage_id
            if FAILURE in _tags(record) and is_news:
                found[entity] = [_attempt(record), *before]
        return found

    def latest_numbers(self, key: str) -> Mapping[str, Mapping[str, float]]:
        """The numbers among the metadata of every entity's newest materialisation."""
        newest = self._newest(key, None, materialized=True)
        return {entity: numbers_among(_metadata(record)) for entity, record in newest.items()}

    def newest_event(self, keys: Sequence[str]) -> int:
        """A number that grows with each event of these assets."""
        return newest_event(self._instance, keys)

    def unpartitioned_version(self, key: str) -> str | None:
        """Data version of an asset without partitions."""
        return newest_version(self._instance, key)

    def failures(self, keys: Sequence[str], entities: Sequence[str] | None) -> list[FailedPair]:
        """The pairs whose last attempt failed."""
        found: list[FailedPair] = []
        for key in keys:
            made = self._newest(key, entities, materialized=True)
            for entity, record in self._newest(
                key, entities, materialized=False, tag=FAILURE
            ).items():
                kind = _tags(record).get(FAILURE)
                is_newer = entity not in made or record.storage_id > made[entity].storage_id
                if kind is not None and is_newer:
                    seen = record.asset_observation
                    text = (seen.description if seen else None) or kind
                    found.append(FailedPair(key, entity, kind, text, record.run_id))
        return found

    def tries(
        self, key: str, entities: Sequence[str] | None, after: Mapping[str, int]
    ) -> Mapping[str, Tries]:
        """How often each entity was tried in vain since it was materialised last."""
        made = self._newest(key, entities, materialized=True)
        found: list[tuple[str, int, float, bool]] = []
        for chunk in [None] if entities is None else _chunks(entities):
            for record in self._pages(key, chunk, materialized=False):
                entity, kind = record.partition_key, _tags(record).get(FAILURE)
                if entity is None or kind is None:
                    continue
                if entity not in made or record.storage_id > made[entity].storage_id:
                    blocked = kind == UPSTREAM_FAILED
                    found.append((entity, record.storage_id, record.timestamp, blocked))
        return counted(sorted(found, key=itemgetter(1)), after)

    def flagged(
        self, key: str, checks: Sequence[str], entities: Sequence[str] | None
    ) -> list[FlaggedPair]:
        """The entities that one of these checks did not pass when it last looked at them."""
        wanted = None if entities is None else set(entities)
        found: list[FlaggedPair] = []
        for check in checks:
            seen: set[str] = set()
            for said in self._evaluations(dg.AssetCheckKey(asset_key(key), check)):
                entity = said.partition
                if (
                    entity is None
                    or entity in seen
                    or (wanted is not None and entity not in wanted)
                ):
                    continue
                seen.add(entity)
                if not said.passed:
                    found.append(FlaggedPair(key, entity, check, said.description or ""))
        return found

    def stamps(self, key: str) -> Stamps | None:  # noqa: ARG002 - the protocol's signature
        """Nothing: events are read one page at a time anyway."""
        return None

    def traces(self, keys: Sequence[str], entities: Iterable[str]) -> Mapping[str, int]:
        """How many events name these entities, by asset key."""
        return removal.events_of(self._instance, [asset_key(key) for key in keys], entities)

    def forget(self, keys: Sequence[str], entities: Iterable[str]) -> None:
        """Take every event that names these entities out; calling again changes nothing."""
        removal.forget(self._instance, [asset_key(key) for key in keys], entities)

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
                timestamp=computed_at(tags, made.timestamp),
                storage_id=made.storage_id,
                event_id=made.storage_id,
            )
        never = Record(materialized=False, failed=False)
        for entity, seen in self._newest(key, entities, materialized=False, tag=FAILURE).items():
            before = records.get(entity, never)
            attempt = attempt_of(_tags(seen))
            if attempt is not None and seen.storage_id > (before.storage_id or 0):
                records[entity] = before._replace(
                    failed=True,
                    timestamp=seen.timestamp,
                    attempt=attempt,
                    event_id=seen.storage_id,
                )
        return records

    def _newest(
        self, key: str, entities: Sequence[str] | None, *, materialized: bool, tag: str = ""
    ) -> dict[str, dg.EventLogRecord]:
        """The newest event of each partition asked for; with a tag, of those that have it."""
        newest: dict[str, dg.EventLogRecord] = {}
        for chunk in [None] if entities is None else _chunks(entities):
            for record in self._pages(key, chunk, materialized=materialized):
                partition = record.partition_key
                counts = not tag or tag in _tags(record)
                if counts and partition is not None and partition not in newest:
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

    def _evaluations(self, check: dg.AssetCheckKey) -> Iterator[dg.AssetCheckEvaluation]:
        """All of a check, newest first."""
        storage, cursor = self._instance.event_log_storage, None
        while True:
            page = storage.get_asset_check_execution_history(check, limit=_A_PAGE, cursor=cursor)
            evaluations = (execution.evaluation for execution in page)
            # Of one that is only planned Dagster gives the plan.
            yield from (e for e in evaluations if isinstance(e, dg.AssetCheckEvaluation))
            if len(page) < _A_PAGE:
                return
            cursor = page[-1].id

    def _newest_materialization(self, key: str, entity: str) -> tuple[int, str, float] | None:
        newest = next(self._pages(key, [entity], materialized=True), None)
        return (newest.storage_id, newest.run_id, newest.timestamp) if newest else None

    def _pointers(self, receipt: Receipt) -> dict[str, int]:
        pointers = Pointers()
        for key in receipt.inputs:
            events = [
                *self._pages(key, [receipt.entity], materialized=True),
                *self._pages(key, [receipt.entity], materialized=False),
            ]
            for event in sorted(events, key=lambda event: event.storage_id):
                version = _tags(event).get(DATA_VERSION)
                if version is not None:
                    pointers.add(key, receipt.entity, event.storage_id, version)
        return pointers.of(receipt)

    def _log(
        self,
        run: RunIdentity | None,
        event: dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation,
        timestamp: float | None,
    ) -> None:
        if run is None:
            self._instance.report_runless_asset_event(event)
        elif self._context is not None and self._context.run.run_id == run.run_id:
            # Takes evaluations too, and keeps their partition; its type does not say so.
            self._context.log_event(cast("dg.AssetObservation", event))
        else:  # of a run that died
            self._instance.report_dagster_event(
                event_log.dagster_event(run, event), run_id=run.run_id, timestamp=timestamp
            )


def _tags(record: dg.EventLogRecord) -> Mapping[str, str]:
    seen = record.asset_materialization or record.asset_observation
    return (seen.tags or {}) if seen else {}


def _metadata(record: dg.EventLogRecord) -> dict[str, Any]:
    seen = record.asset_materialization or record.asset_observation
    return {name: value.value for name, value in seen.metadata.items()} if seen else {}


def _attempt(record: dg.EventLogRecord) -> Attempt:
    tags = _tags(record)
    return Attempt(
        failure=tags.get(FAILURE),
        timestamp=record.timestamp,
        run_id=record.run_id,
        storage_id=record.storage_id,
        tags=tags,
        metadata=_metadata(record),
    )


def _chunks(values: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(values)
    while chunk := list(islice(rest, _A_PAGE)):
        yield chunk
