"""Of a whole asset: what every entity's record says, without a `Record` for each."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dagster as dg

from klio_dagster.ledger.events import asset_key
from klio_dagster.ledger.internals import event_log
from klio_dagster.ledger.internals.tags import newest_tags
from klio_dagster.ledger.provenance import CODE_VERSION, DATA_VERSION, FAILURE, INPUT_VERSION

_OBSERVATION = "ASSET_OBSERVATION"


@dataclass(frozen=True, slots=True)
class Stamps:
    """What the ledger says of one asset; of each entity either may be missing.

    Args:
        tags: entity to the tags of its newest materialisation, as JSON text.
        failed: entities whose last attempt failed.
    """

    tags: Mapping[str, str]
    failed: frozenset[str]

    def data_versions(self) -> dict[str, str]:
        """Entity to the data version of its output, as it stands in JSON; empty if it has none."""
        start = f'"{DATA_VERSION}": "'
        return {entity: _until_quote(text, start) for entity, text in self.tags.items()}


def stamps_of(instance: dg.DagsterInstance, key: str) -> Stamps:
    """What the event log says of an asset.

    Raises:
        LedgerError: the event log cannot be read.
    """
    wanted = asset_key(key)
    observed = {
        row.partition: row.storage_id
        for row in event_log.newest_events(instance, wanted, _OBSERVATION, None, tag=FAILURE)
    }
    tags, mended = newest_tags(instance, wanted, observed)
    return Stamps(tags, frozenset(observed).difference(mended))


def code_stamp(version: str) -> str:
    """What the tags of an output hold that this version of the code made."""
    return f'"{CODE_VERSION}": {json.dumps(version)}'


def input_stamp(key: str) -> str:
    """What stands before the version of an input in the tags; the version and a quote follow."""
    return f'"{INPUT_VERSION}{json.dumps(key)[1:-1]}": "'


def escaped(versions: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Entities and versions as these stand in JSON."""
    return ((entity, json.dumps(version)[1:-1]) for entity, version in versions.items())


def _until_quote(text: str, start: str) -> str:
    at = text.find(start)
    if at < 0:
        return ""
    at += len(start)
    end = text.find('"', at)
    while text[end - 1] == "\\":  # a quote of the version itself
        end = text.find('"', end + 1)
    return text[at:end]
