"""Evaluations of asset checks, and the materialisation they are shown with."""

from collections.abc import Mapping

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)


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
        target_materialization_data=None if target is None else _pointer(target),
        severity=severity.ERROR if is_blocking else severity.WARN,
        description=description,
        blocking=is_blocking,
        partition=partition,
    )


def of_copy(
    original: dg.AssetCheckEvaluation, target: tuple[int, str, float]
) -> dg.AssetCheckEvaluation:
    """The same evaluation, shown with another materialisation of the same output.

    Private because the pointer's class has no public name.

    Args:
        original: as it was recorded.
        target: storage id, run id and timestamp of that materialisation.
    """
    return dg.AssetCheckEvaluation(
        asset_key=original.asset_key,
        check_name=original.check_name,
        passed=original.passed,
        metadata=original.metadata,
        target_materialization_data=_pointer(target),
        severity=original.severity,
        description=original.description,
        blocking=original.blocking,
        partition=original.partition,
    )


def _pointer(target: tuple[int, str, float]) -> AssetCheckEvaluationTargetMaterializationData:
    storage_id, run_id, timestamp = target
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=storage_id, run_id=run_id, timestamp=timestamp
    )
