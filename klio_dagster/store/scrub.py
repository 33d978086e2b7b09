"""What our own folder of the store says of entities, and that folder without it.

Receipts, manifests, lists of failures, summaries, request files, and notes of what was passed on or
has to be, name entities. Each file that does is written anew without them, atomically; the others
are not touched. Messages that are kept
for a person or for later go whole. A batch of the inbox is left to its run, which refuses what was
taken down.
"""

import gzip
import io
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, cast

from klio_dagster.core.letter import Asked
from klio_dagster.store.layout import (
    DEAD_LETTER_PREFIX,
    GIVEN_UP_PREFIX,
    HELD_PREFIX,
    OUTBOX_PREFIX,
    PUBLISHED_PREFIX,
    RECEIPTS_PREFIX,
    REPLAY_PREFIX,
    REQUESTS_PREFIX,
    RUNS_PREFIX,
    WAITING_PREFIX,
    kept_entity,
)
from klio_dagster.store.objects import ObjectStore
from klio_dagster.store.outbox import noted

_LINES = (RECEIPTS_PREFIX, RUNS_PREFIX, REQUESTS_PREFIX, OUTBOX_PREFIX, PUBLISHED_PREFIX)
_FEW = 20  # up to so many ids are searched for as bytes, which is faster than reading all lines


def scrub(store: ObjectStore, entities: Collection[str], *, write: bool) -> dict[str, int]:
    """Path of each of our files that names these entities, to how many lines do.

    Nobody may append to such a file meanwhile: no live claim names one of the entities.

    Args:
        store: the store of outputs and receipts.
        entities: checked ids.
        write: take the lines out; otherwise only count them.

    Raises:
        ConfigError: the store does not let us read or write.
        StoreUnavailableError: it did not answer.
    """
    named = _Named(entities)
    found: dict[str, int] = {}
    for prefix in _LINES:
        for path in sorted(info.path for info in store.list(prefix)):
            data = store.get_or_none(path)
            dropped, kept = _without(path, data, named) if data else (0, b"")
            if dropped:
                found[path] = dropped
                if write:
                    store.put(path, kept)
    return found


def scrub_messages(store: ObjectStore, entities: Collection[str], *, write: bool) -> dict[str, int]:
    """Path of each object with kept messages of these entities, to how many there are in it.

    Args:
        store: the store of the messages.
        entities: checked ids.
        write: delete the objects; otherwise only count.

    Raises:
        ConfigError: the store does not let us read or write.
        StoreUnavailableError: it did not answer.
    """
    named = _Named(entities)
    found: dict[str, int] = {}
    for prefix in (DEAD_LETTER_PREFIX, REPLAY_PREFIX):
        for path in sorted(info.path for info in store.list(prefix)):
            data = store.get_or_none(path) if path.endswith(".json") else None
            if data is not None and named(data):
                found[path] = 1
    for prefix in (HELD_PREFIX, WAITING_PREFIX, GIVEN_UP_PREFIX):
        for path in sorted(info.path for info in store.list(prefix)):
            if named.has(kept_entity(path)):
                found[path] = _messages_in(store.get_or_none(path) or b"")
    if write:
        store.delete_many(found)
    return found


class _Named:
    """Tells whether a line of JSON is about one of some entities."""

    def __init__(self, entities: Collection[str]) -> None:
        self._entities = frozenset(entities)
        self._texts = [json.dumps(entity).encode() for entity in self._entities]

    def __call__(self, line: bytes) -> bool:
        if len(self._texts) <= _FEW and not self._holds(line):
            return False
        try:
            fields: Any = json.loads(line)
            return fields["entity"] in self._entities
        except (ValueError, TypeError, KeyError, RecursionError):
            return self._holds(line)  # torn by a kill: nobody reads it, but it is a trace

    def has(self, entity: object) -> bool:
        """It is one of them."""
        return entity in self._entities

    def _holds(self, line: bytes) -> bool:
        return any(text in line for text in self._texts)


def _messages_in(data: bytes) -> int:
    """How many messages an object holds; a torn one counts as one."""
    try:
        fields = cast("dict[str, Any]", json.loads(data))
        return len(Asked.from_line(json.dumps(fields.get("asked", fields))).letters)
    except (ValueError, AttributeError, RecursionError):
        return 1


def _without(path: str, data: bytes, named: _Named) -> tuple[int, bytes]:
    """How many lines (or entries) name an entity, and the file without them."""
    if path.endswith(".jsonl"):
        lines = data.splitlines(keepends=True)
        kept = [line for line in lines if not named(line)]
        return len(lines) - len(kept), b"".join(kept)
    if path.endswith(".jsonl.gz"):
        dropped = sum(map(named, _unpacked(data)))
        if not dropped:
            return 0, data
        return dropped, _packed(line for line in _unpacked(data) if not named(line))
    if path.endswith("/summary.json"):
        return _summary_without(data, named)
    if path.startswith(PUBLISHED_PREFIX):
        entities = noted(data)
        left = [entity for entity in entities if not named.has(entity)]
        return len(entities) - len(left), json.dumps(left).encode()
    return 0, data


def _summary_without(data: bytes, named: _Named) -> tuple[int, bytes]:
    summary = cast("dict[str, Any]", json.loads(data))
    failures: list[dict[str, Any]] = summary.get("failures", [])
    kept = [failure for failure in failures if not named.has(failure["entity"])]
    dropped = len(failures) - len(kept)
    # What lay beside the catalogue then, with one of the new entities for an example.
    for beside in summary.get("sources", {}).values():
        if named.has(beside.get("new_entity")):
            beside["new_entity"] = ""
            dropped += 1
    return dropped, json.dumps({**summary, "failures": kept}).encode()


def _unpacked(data: bytes) -> Iterator[bytes]:
    """The lines of a compressed file, one at a time: unpacked it may not fit."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as archive:
        yield from archive


def _packed(lines: Iterable[bytes]) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as archive:
        archive.writelines(lines)
    return packed.getvalue()
