"""Every failed attempt since the last materialisation: what newest events do not tell."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import NamedTuple, cast

import dagster as dg
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import exists, select

from klio_dagster.ledger.internals.batch import EVENTS
from klio_dagster.ledger.internals.event_log import log_of
from klio_dagster.ledger.internals.failures import clear_errors


class Attempt(NamedTuple):
    """An attempt that failed."""

    partition: str
    storage_id: int
    timestamp: float
    is_marked: bool
    """It has the value of the tag that was asked about."""


def failed_attempts(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partitions: Sequence[str] | None,
    *,
    tag: str,
    value: str,
) -> Iterator[Attempt]:
    """The observations with a tag after each partition's newest materialisation, oldest first.

    Private because the public way reads whole events, page by page, 0.15 ms each. Use up the
    iterator before the next call: on SQLite it holds the lock of Dagster's storage.

    Args:
        instance: whose event log takes batches.
        key: of the asset.
        partitions: the ones asked for; all when None.
        tag: that marks an observation as a failure.
        value: of the tag, to be told apart.

    Raises:
        LedgerError: the event log cannot be read.
    """
    storage = cast("SqlEventLogStorage", instance.event_log_storage)
    log = log_of(storage)
    assert log is not None, "callers ask `batches` first"
    made = EVENTS.alias("made")
    # As it stands in JSON: within a text the quotes would be escaped.
    marked = EVENTS.c.event.contains(f"{json.dumps(tag)}: {json.dumps(value)}", autoescape=True)
    query = (
        select(EVENTS.c.partition, EVENTS.c.id, EVENTS.c.timestamp, marked)
        .where(
            EVENTS.c.asset_key == key.to_string(),
            EVENTS.c.dagster_event_type == "ASSET_OBSERVATION",
            EVENTS.c.partition.is_not(None),
            ~exists().where(
                made.c.asset_key == EVENTS.c.asset_key,
                made.c.dagster_event_type == "ASSET_MATERIALIZATION",
                made.c.partition == EVENTS.c.partition,
                made.c.id > EVENTS.c.id,
            ),
            EVENTS.c.event.contains(json.dumps(tag), autoescape=True),
        )
        .order_by(EVENTS.c.id)
    )
    if partitions is not None:
        query = query.where(EVENTS.c.partition.in_(log.each_of(partitions)))
    with clear_errors():
        details = storage._get_assets_details([key])
        query = storage._add_assets_wipe_filter_to_query(query, details, [key])
        for partition, storage_id, timestamp, is_marked in log.rows(query):
            # The columns hold UTC without saying so.
            when = timestamp.replace(tzinfo=UTC).timestamp()
            yield Attempt(partition, storage_id, when, bool(is_marked))
