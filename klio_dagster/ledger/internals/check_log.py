"""Evaluations of asset checks: what Dagster keeps of them beside the event log."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

# What the table's unique index knows an execution by.
_EXECUTION = ("asset_key", "check_name", "run_id", "partition")


def evaluation(
    key: dg.AssetKey,
    check: str,
    *,
    passed: bool,
    is_blocking: bool,
    partition: str | None,
    description: str | None,
    metadata: Mapping[str, dg.MetadataValue],
    target: tuple[int, str, float] | None,
) -> dg.AssetCheckEvaluation:
    """The event of one check of one output.

    Private because Dagster shows a partition's check only while it points to the partition's newest
    materialisation, and the pointer's class has no public name.

    Args:
        key: of the asset.
        check: name of the check.
        passed: whether it did.
        is_blocking: it keeps outputs from being stored.
        partition: which was checked; None records it for the asset as a whole.
        description: one line.
        metadata: shown beside it.
        target: storage id, run id and timestamp of the partition's newest materialisation.
    """
    severity = dg.AssetCheckSeverity
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=check,
        passed=passed,
        metadata=metadata,
        target_materialization_data=None
        if target is None
        else AssetCheckEvaluationTargetMaterializationData(
            storage_id=target[0], run_id=target[1], timestamp=target[2]
        ),
        severity=severity.ERROR if is_blocking else severity.WARN,
        description=description,
        blocking=is_blocking,
        partition=partition,
    )


def execution_row(
    number: int, entry: dg.EventLogEntry, serialized: str, about: dg.AssetCheckEvaluation
) -> dict[str, Any]:
    """What the table of executions holds of an evaluation.

    Args:
        number: storage id of the event.
        entry: the stored event.
        serialized: the same as text.
        about: the evaluation in it.
    """
    status = AssetCheckExecutionRecordStatus
    target = about.target_materialization_data
    return {
        "asset_key": about.asset_key.to_string(),
        "check_name": about.check_name,
        "partition": about.partition,
        "run_id": entry.run_id,
        "execution_status": (status.SUCCEEDED if about.passed else status.FAILED).value,
        "evaluation_event": serialized,
        "evaluation_event_timestamp": datetime.fromtimestamp(entry.timestamp, UTC).replace(
            tzinfo=None
        ),
        "evaluation_event_storage_id": number,
        "materialization_event_storage_id": target.storage_id if target else None,
    }


def store_executions(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write evaluations over what the run had planned of them, all in one statement.

    Private because the public way is three transactions an evaluation (104 a second on SQLite).

    Args:
        connection: to a SQLite index.
        rows: made by `execution_row`.
    """
    insert = sqlite.insert(AssetCheckExecutionsTable)
    upsert = insert.on_conflict_do_update(
        index_elements=list(_EXECUTION),
        set_={name: insert.excluded[name] for name in rows[0] if name not in _EXECUTION},
    )
    connection.execute(upsert, list(_newest(rows)))


def _newest(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """The last row of each execution: a statement may not write one twice."""
    return {tuple(row[name] for name in _EXECUTION): dict(row) for row in rows}.values()
