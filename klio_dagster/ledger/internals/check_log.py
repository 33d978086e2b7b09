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
