"""The tags that make "up to date", "new code version" and "upstream changed" true in the UI.

Dagster writes the same ones for a `MaterializeResult`; for events logged by an op it does not.
"""

from collections.abc import Mapping
from functools import lru_cache

from klio_dagster.core.receipt import Failure, Receipt

CODE_VERSION = "dagster/code_version"
DATA_VERSION = "dagster/data_version"
INPUT_VERSION = "dagster/input_data_version/"
INPUT_POINTER = "dagster/input_event_pointer/"
NO_POINTER = "NULL"
NO_VERSION = "INITIAL"  # what Dagster takes for an asset recorded without a data version
FAILURE = "klio/failure"


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


def failure_tags(failure: Failure) -> dict[str, str]:
    """What marks an observation as a failed attempt."""
    return {FAILURE: failure.type}


def input_versions(tags: Mapping[str, str]) -> dict[str, str]:
    """Input key to the data version it had."""
    return {key: version for tag, version in tags.items() if (key := _input_key(tag))}


@lru_cache(maxsize=1024)  # the same few in a million records
def _input_key(tag: str) -> str | None:
    return tag.removeprefix(INPUT_VERSION) if tag.startswith(INPUT_VERSION) else None
