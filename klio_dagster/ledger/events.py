"""Receipts to Dagster's own events: materialisations, failure observations, planned events."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from klio_dagster.core.receipt import Receipt
from klio_dagster.ledger.provenance import failure_tags, provenance_tags

Describe = Callable[[Receipt], Mapping[str, dg.MetadataValue]]
"""What the UI shows of a receipt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """Under which run, job and step events are recorded.

    Args:
        run_id: Dagster's id.
        job_name: the run's job.
        step_key: the op's step; None where it is not known any more.
    """

    run_id: str
    job_name: str
    step_key: str | None

    @classmethod
    def of_context(cls, context: dg.AssetExecutionContext) -> "RunIdentity":
        """The run that executes the op of this context."""
        step = context.op_execution_context.get_step_execution_context().step
        return cls(run_id=context.run.run_id, job_name=context.run.job_name, step_key=step.key)

    @classmethod
    def of_run(cls, instance: dg.DagsterInstance, run_id: str) -> "RunIdentity":
        """A run by its id, for what is recorded after it died."""
        run = instance.get_run_by_id(run_id)
        return cls(run_id=run_id, job_name=run.job_name if run else "unknown", step_key=None)


@dataclass(frozen=True, slots=True)
class Pointers:
    """Where the inputs of a batch stand in the event log.

    Args:
        known: (asset key, entity) to storage id and data version of its newest event.
    """

    known: Mapping[tuple[str, str], tuple[int, str | None]]

    def of(self, receipt: Receipt, batch: Mapping[tuple[str, str], int]) -> dict[str, int]:
        """Input key to the event that this output was made from.

        Args:
            receipt: of the output.
            batch: (asset key, entity) to storage id of the events before it in its batch.
        """
        found: dict[str, int] = {}
        for key, version in receipt.inputs.items():
            pair = (key, receipt.entity)
            if pair in batch:
                found[key] = batch[pair]
            elif pair in self.known:
                storage_id, latest = self.known[pair]
                # Not made from the newest event: point before it, and Dagster tells that the
                # upstream has changed since.
                found[key] = storage_id if latest == version else storage_id - 1
        return found


def materialization(
    receipt: Receipt, pointers: Mapping[str, int], describe: Describe
) -> dg.AssetMaterialization:
    """The event of a good receipt."""
    return dg.AssetMaterialization(
        asset_key=asset_key(receipt.asset),
        partition=receipt.entity,
        metadata=describe(receipt),
        tags=provenance_tags(receipt, pointers),
    )


def failure_observation(receipt: Receipt) -> dg.AssetObservation:
    """The event of a failed receipt: the error, on the page of its partition."""
    failure = receipt.failure
    assert failure is not None
    metadata: dict[str, dg.MetadataValue] = {
        "error": dg.MetadataValue.text(str(failure)),
        "reproduce": dg.MetadataValue.text(
            f"klio run {shlex.quote(receipt.entity)} --select {receipt.asset} --debug"
        ),
    }
    if failure.traceback:
        metadata["traceback"] = dg.MetadataValue.md(f"```\n{failure.traceback}\n```")
    return dg.AssetObservation(
        asset_key=asset_key(receipt.asset),
        partition=receipt.entity,
        description=str(failure),
        metadata=metadata,
        tags=failure_tags(failure),
    )


def source_observation(key: str, entity: str, version: str) -> dg.AssetObservation:
    """The event of a recording that lies there in this version."""
    return dg.AssetObservation(
        asset_key=asset_key(key), partition=entity, tags={"dagster/data_version": version}
    )


def asset_key(key: str) -> dg.AssetKey:
    """A key out of its parts joined by `/`."""
    return dg.AssetKey(key.split("/"))


def inputs_of(receipts: Sequence[Receipt]) -> dict[str, set[str]]:
    """Input key to the entities whose receipts name it."""
    wanted: dict[str, set[str]] = {}
    for receipt in receipts:
        if receipt.failure is None:
            for key in receipt.inputs:
                wanted.setdefault(key, set()).add(receipt.entity)
    return wanted
