"""Receipts to Dagster's own events: materialisations, failure observations, planned events."""

import inspect
import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import dagster as dg

from klio_dagster.core.check import Evaluation
from klio_dagster.core.output import Scalar
from klio_dagster.core.receipt import Receipt
from klio_dagster.ledger.internals import check_log
from klio_dagster.ledger.provenance import DATA_VERSION, failure_tags, provenance_tags

# A page of the UI loads all events it shows; the receipt keeps more.
_MOST_TRACEBACK_CHARACTERS = 8_000
_MOST_ERROR_CHARACTERS = 2_000
_BACKTICKS = re.compile("`+")

_DIGITS = 6

CHECKS_HAVE_PARTITIONS = "partitions_def" in inspect.signature(dg.AssetCheckSpec).parameters
"""A preview feature of Dagster: without it a check is evaluated for the asset as a whole."""

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


class Pointers:
    """Which events the inputs of outputs come from.

    Dagster tells "upstream changed" by what stands after the pointer in the event log, so it must
    be the event of the very version that was read, not the newest.
    """

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], list[tuple[int, str]]] = {}

    def add(self, key: str, entity: str, storage_id: int, version: str) -> None:
        """Take an event of an input; of the same (key, entity) the older first."""
        self._events.setdefault((key, entity), []).append((storage_id, version))

    def of(self, receipt: Receipt) -> dict[str, int]:
        """Input key to the event that this output was made from, where there is one."""
        found: dict[str, int] = {}
        for key, version in receipt.inputs.items():
            events = self._events.get((key, receipt.entity))
            if events:
                same = [storage_id for storage_id, seen in events if seen == version]
                # Made from a version nobody recorded: point before all of them, and Dagster tells
                # that the upstream has changed since.
                found[key] = same[-1] if same else events[0][0] - 1
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


def check_evaluation(
    receipt: Receipt, evaluation: Evaluation, target: tuple[int, str, float] | None
) -> dg.AssetCheckEvaluation:
    """The event of one check of a receipt.

    Args:
        receipt: of the output.
        evaluation: what the check found.
        target: storage id, run id and timestamp of the newest materialisation of that partition.
    """
    metadata = {name: shown(value) for name, value in evaluation.metadata.items()}
    if not CHECKS_HAVE_PARTITIONS:
        metadata["entity"] = dg.MetadataValue.text(receipt.entity)
    return check_log.evaluation(
        asset_key(receipt.asset),
        evaluation.check,
        passed=evaluation.passed,
        is_blocking=evaluation.severity == "blocking",
        partition=receipt.entity if CHECKS_HAVE_PARTITIONS else None,
        description=storable(evaluation.description)[:_MOST_ERROR_CHARACTERS] or None,
        metadata=metadata,
        target=target,
    )


def failure_observation(receipt: Receipt) -> dg.AssetObservation:
    """The event of a failed receipt: the error, on the page of its partition."""
    failure = receipt.failure
    assert failure is not None
    error = storable(str(failure))[:_MOST_ERROR_CHARACTERS]
    metadata: dict[str, dg.MetadataValue] = {
        "error": dg.MetadataValue.text(error),
        "reproduce": dg.MetadataValue.text(
            f"klio run {shlex.quote(receipt.entity)} --select {receipt.asset} --debug"
        ),
    }
    if failure.traceback:
        # Its end is what tells; the fence is longer than any that stands in it.
        shown = storable(failure.traceback)[-_MOST_TRACEBACK_CHARACTERS:]
        fence = "`" * max([5, *(1 + len(ticks) for ticks in _BACKTICKS.findall(shown))])
        metadata["traceback"] = dg.MetadataValue.md(f"{fence}\n{shown}\n{fence}")
    metadata |= attempts_of(receipt)
    return dg.AssetObservation(
        asset_key=asset_key(receipt.asset),
        partition=receipt.entity,
        description=error,
        metadata=metadata,
        tags=failure_tags(receipt),
    )


def attempts_of(receipt: Receipt) -> dict[str, dg.MetadataValue]:
    """How often it was tried, what went wrong before, and notes; nothing of what went well."""
    shown: dict[str, dg.MetadataValue] = {}
    if receipt.earlier:
        lines = "\n".join(storable(line) for line in receipt.earlier)
        shown["attempts"] = dg.MetadataValue.int(receipt.attempts)
        shown["earlier_errors"] = dg.MetadataValue.text(lines[-_MOST_ERROR_CHARACTERS:])
    if receipt.notes:
        shown["notes"] = dg.MetadataValue.text("\n".join(map(storable, receipt.notes)))
    return shown


def storable(text: str) -> str:
    """The text without lone surrogates (from file names): neither SQLite nor JSON has them."""
    return text.encode("utf-8", "replace").decode()


def shown(value: Scalar) -> dg.MetadataValue:
    """A number, text or truth value as the UI shows it."""
    match value:
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            if not math.isfinite(value):  # the web page's GraphQL has no such number
                return dg.MetadataValue.text(str(value))
            return dg.MetadataValue.float(rounded(value, _DIGITS))
        case str():
            return dg.MetadataValue.text(storable(value))


def rounded(value: float, digits: int) -> float:
    """So many significant digits: the UI would show seventeen."""
    if value == 0:
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def source_observation(key: str, entity: str, version: str) -> dg.AssetObservation:
    """The event of a recording that lies there in this version."""
    return dg.AssetObservation(
        asset_key=asset_key(key), partition=entity, tags={DATA_VERSION: version}
    )


@lru_cache(maxsize=1024)
def asset_key(key: str) -> dg.AssetKey:
    """A key out of its parts joined by `/`."""
    return dg.AssetKey(key.split("/"))


def inputs_of(receipts: Iterable[Receipt]) -> dict[str, set[str]]:
    """Input key to the entities whose receipts name it."""
    wanted: dict[str, set[str]] = {}
    for receipt in receipts:
        if receipt.failure is None:
            for key in receipt.inputs:
                wanted.setdefault(key, set()).add(receipt.entity)
    return wanted
