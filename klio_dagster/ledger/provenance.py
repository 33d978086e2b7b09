"""The tags that make "up to date", "new code version" and "upstream changed" true in the UI.

Dagster writes the same ones for a `MaterializeResult`; for events logged by an op it does not.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from klio_dagster.core.receipt import Receipt
from klio_dagster.core.record import NO_VERSIONS, FailedAttempt

CODE_VERSION = "dagster/code_version"
DATA_VERSION = "dagster/data_version"
INPUT_VERSION = "dagster/input_data_version/"
INPUT_POINTER = "dagster/input_event_pointer/"
NO_POINTER = "NULL"
NO_VERSION = "INITIAL"  # what Dagster takes for an asset recorded without a data version
FAILURE = "klio/failure"
SKIPPED = "klio/skipped"  # on a copy: when the output was computed

# What Dagster takes as the value of a tag that is not its own, or the event cannot be made.
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")
_MOST_OF_A_TAG = 63


def provenance_tags(receipt: Receipt, pointers: Mapping[str, int]) -> dict[str, str]:
    """What an output was made from.

    Args:
        receipt: of the output.
        pointers: input key to the storage id of the event it was made from.
    """
    tags = {CODE_VERSION: receipt.code_version, DATA_VERSION: receipt.data_version}
    for key, version in receipt.inputs.items():
        tags[INPUT_VERSION + key] = version
        tags[INPUT_POINTER + key] = str(pointers.get(key, NO_POINTER))
    return tags


def failure_tags(receipt: Receipt) -> dict[str, str]:
    """What marks an observation as a failed attempt, and what that was made with.

    No data version is among them: for Dagster the asset still has the one it had.
    """
    failure = receipt.failure
    assert failure is not None
    # The name of an exception class may be any identifier, of any length and in any alphabet.
    kind = _NOT_IN_TAGS.sub("_", failure.type)[:_MOST_OF_A_TAG] or "_"
    tags = {FAILURE: kind, CODE_VERSION: receipt.code_version}
    return tags | {INPUT_VERSION + key: version for key, version in receipt.inputs.items()}


def attempt_of(tags: Mapping[str, str]) -> FailedAttempt | None:
    """The attempt that an observation marks as failed; None if it marks none."""
    kind = tags.get(FAILURE)
    if kind is None:
        return None
    return FailedAttempt(kind, tags.get(CODE_VERSION), input_versions(tags) or NO_VERSIONS)


def skipped_tag(computed_at: float) -> str:
    """The value of `klio/skipped` for an output of that time, seconds since the epoch."""
    return f"{computed_at:.6f}"  # Dagster takes letters, digits and `_-.` only


def computed_at(tags: Mapping[str, str], recorded_at: float) -> float:
    """When the output of a materialisation was computed: of a copy, when the original was.

    Args:
        tags: of the event.
        recorded_at: time of the event, seconds since the epoch.
    """
    original = tags.get(SKIPPED)
    return float(original) if original else recorded_at


def input_versions(tags: Mapping[str, str]) -> dict[str, str]:
    """Input key to the data version it had."""
    return {key: version for tag, version in tags.items() if (key := _input_key(tag))}


@lru_cache(maxsize=1024)  # the same few in a million records
def _input_key(tag: str) -> str | None:
    return tag.removeprefix(INPUT_VERSION) if tag.startswith(INPUT_VERSION) else None
