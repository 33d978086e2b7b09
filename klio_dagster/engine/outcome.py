"""What an attempt gave, as a value, and the receipt that says so."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klio_dagster.core.entity import Result
from klio_dagster.core.manifest import Manifest, PartSpec, Task
from klio_dagster.core.output import Dumped, Scalar
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.engine.inputs import one_line
from klio_dagster.errors import EntityError


@dataclass(frozen=True, slots=True)
class Done:
    """An asset was computed and stored."""

    data: Dumped
    result: Result
    uri: str


@dataclass(frozen=True, slots=True)
class FailedTogether:
    """One call for several entities failed, and nobody knows yet for which of them."""

    failure: Failure


Outcome = Done | Failure | FailedTogether


def blocked_by(
    failed: str, chain: Mapping[str, PartSpec], waiting: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """The assets that cannot be computed because one failed, each with what it depends on.

    Args:
        failed: the asset that failed.
        chain: parts by name.
        waiting: assets not computed yet, upstream first.
    """
    lost = {failed}
    for name in waiting:
        cause = next((dep for dep in chain[name].inputs if dep in lost), None)
        if cause is not None:
            lost.add(name)
            yield name, cause


def failure_of(error: BaseException, *, is_transient: bool) -> Failure:
    """An exception as a failure."""
    if isinstance(error, SystemExit):
        return Failure("SystemExit", f"the transform called sys.exit({error.code!r})")
    text = "".join(traceback.format_exception(error))
    return Failure(type(error).__name__, one_line(error), text, is_transient)


def failed_receipt(
    manifest: Manifest,
    task: Task,
    part: PartSpec,
    failure: Failure,
    *,
    started_at: float,
    finished_at: float,
    notes: Sequence[str] = (),
) -> Receipt:
    """The receipt of an attempt whose worker could not write one any more."""
    return Receipt(
        run=manifest.run,
        attempt=manifest.attempt,
        entity=task.entity,
        asset=part.key,
        code_version=part.code_version,
        started_at=round(started_at, 6),
        finished_at=round(finished_at, 6),
        failure=failure,
        earlier=tuple(task.tried.get(part.name, ())),
        notes=tuple(notes),
    )


def shown_figures(figures: Mapping[Any, object]) -> dict[str, bytes]:
    """A transform's figures as PNG bytes by name.

    Raises:
        EntityError: something else is in it.
    """
    for name, png in figures.items():
        if not isinstance(name, str) or not isinstance(png, bytes):
            raise EntityError(
                f"figure {name!r} is {type(png).__name__}", where="Result", fix="use PNG bytes"
            )
    return {name: png for name, png in figures.items() if isinstance(png, bytes)}


def plain_metadata(metadata: Mapping[Any, object]) -> dict[str, Scalar]:
    """A transform's metadata as text, numbers and truth values; numpy's scalars are converted.

    Raises:
        EntityError: something else is in it.
    """
    plain: dict[str, Scalar] = {}
    for name, value in metadata.items():
        scalar = value.item() if hasattr(value, "item") else value  # pyright: ignore
        if not isinstance(name, str) or not isinstance(scalar, str | int | float | bool):
            raise EntityError(
                f"metadata {name!r} is {type(value).__name__}",
                where="Result",
                fix="use text, numbers or truth values",
            )
        plain[name] = scalar
    return plain
