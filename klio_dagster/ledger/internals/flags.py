"""Which outputs a check flags: the newest evaluation of each partition, those that did not pass."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import dagster as dg
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from sqlalchemy import case, func, select

from klio_dagster.ledger.internals.event_log import log_of
from klio_dagster.ledger.internals.failures import clear_errors


class Flag(NamedTuple):
    """A partition that a check did not pass when it last looked."""

    partition: str
    check: str
    description: str


def flags_of(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    checks: Sequence[str],
    partitions: Sequence[str] | None,
) -> Iterator[Flag]:
    """The partitions whose newest evaluation of a check is one that did not pass.

    Private because the public way reads one check's whole history, a page at a time. Use up the
    iterator before the next call: on SQLite it holds the lock of Dagster's storage.

    Args:
        instance: whose event log takes batches.
        key: of the asset.
        checks: names of its checks.
        partitions: the ones asked for; all when None.

    Raises:
        LedgerError: the event log cannot be read.
    """
    log, table = log_of(instance.event_log_storage), AssetCheckExecutionsTable
    assert log is not None, "callers ask `batches` first"
    of_checks = [table.c.asset_key == key.to_string(), table.c.check_name.in_(list(checks))]
    if partitions is not None:
        of_checks.append(table.c.partition.in_(log.each_of(partitions)))
    failed, passed = (
        func.max(case((table.c.execution_status == status, table.c.evaluation_event_storage_id)))
        for status in ("FAILED", "SUCCEEDED")
    )
    # First without the bodies: a catalogue has one for each entity, and few are wanted. Not one
    # query with a join: SQLite takes a minute for it at 100,000 entities.
    newest = (
        select(failed, table.c.partition)
        .where(*of_checks, table.c.partition.is_not(None))
        .group_by(table.c.check_name, table.c.partition)
        .having(failed > func.coalesce(passed, 0))
    )
    with clear_errors():
        wanted = {row[0]: row[1] for row in log.rows(newest)}
        bodies = select(
            table.c.evaluation_event_storage_id,
            table.c.partition,
            table.c.check_name,
            table.c.evaluation_event,
        ).where(*of_checks, table.c.partition.in_(log.each_of(list(set(wanted.values())))))
        for event, partition, check, body in log.rows(bodies) if wanted else ():
            if event in wanted:
                about = json.loads(body)["dagster_event"]["event_specific_data"]
                yield Flag(partition, check, about.get("description") or "")
