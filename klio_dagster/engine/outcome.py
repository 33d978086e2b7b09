"""What an attempt gave, as a value, and the receipt that says so."""

import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from klio_dagster.codecs.registry import codec_from_json
from klio_dagster.core.check import Evaluation
from klio_dagster.core.entity import Result
from klio_dagster.core.manifest import Manifest, PartSpec, Task
from klio_dagster.core.output import Dumped, PromisingCodec
from klio_dagster.core.place import place_of
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.engine.inputs import one_line
from klio_dagster.errors import CheckFailedError


@dataclass(frozen=True, slots=True)
class Done:
    """An asset was computed and stored."""

    data: Dumped
    result: Result
    uri: str
    checks: Sequence[Evaluation]


@dataclass(frozen=True, slots=True)
class Looked:
    """A stored output was checked again."""

    checks: Sequence[Evaluation]


@dataclass(frozen=True, slots=True)
class Failed:
    """An asset was not stored; checks are those that were looked at."""

    failure: Failure
    checks: Sequence[Evaluation] = ()


@dataclass(frozen=True, slots=True)
class FailedTogether:
    """One call for several entities failed, and nobody knows yet for which of them."""

    failure: Failure


Outcome = Done | Looked | Failed | FailedTogether


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


def failed(error: BaseException, *, is_transient: bool, packages: Collection[str] = ()) -> Failed:
    """An exception as a failure.

    Args:
        error: as it was raised.
        is_transient: the same attempt may succeed later.
        packages: top-level names of the modules that the user's code is in.
    """
    # What a SyntaxError says names its file already.
    place = None if isinstance(error, SyntaxError) else place_of(error, packages)
    at = str(place or "")
    if isinstance(error, SystemExit):
        said = f"the transform called sys.exit({error.code!r})"
        return Failed(Failure("SystemExit", said, place=at))
    kind, message = type(error).__name__, one_line(error)
    if isinstance(error, CheckFailedError):
        # The message says all; where it was noticed is our affair.
        evaluations = [each for each in error.evaluations if isinstance(each, Evaluation)]
        return Failed(Failure(kind, message, "", is_transient), evaluations)
    text = "".join(traceback.format_exception(error))
    return Failed(Failure(kind, message, text, is_transient, at))


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
    receipt = Receipt(
        run=manifest.run,
        attempt=manifest.attempt,
        entity=task.entity,
        asset=part.key,
        code_version=part.code_version,
        inputs={
            key: version
            for dep, key in part.inputs.items()
            if (version := task.versions.get(dep)) is not None
        },
        started_at=round(started_at, 6),
        finished_at=round(finished_at, 6),
        failure=failure,
        earlier=tuple(task.tried.get(part.name, ())),
        notes=tuple(notes),
    )
    return as_look(receipt, part) if part.is_looked_at else receipt


def as_look(receipt: Receipt, part: PartSpec) -> Receipt:
    """A failed receipt of a stored output that could not be checked again.

    None of its checks has passed; the output itself is as finished as before.
    """
    said = str(receipt.failure)
    codec = None if part.codec is None else codec_from_json(part.codec)
    promises = codec.promises if isinstance(codec, PromisingCodec) else ()
    names = [promise.name for promise in promises] + [str(check["name"]) for check in part.checks]
    checks = tuple(
        Evaluation(check=name, passed=False, severity="warn", description=said) for name in names
    )
    return replace(receipt, failure=None, is_look=True, checks=checks)
