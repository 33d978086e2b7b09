"""Our own folder without an entity: every line that names it, and no other."""

import gzip
import json

import pytest
from hypothesis import given

from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.scrub import scrub
from tests.strategies import entity_ids

FILES = {
    "_klio/receipts/r/w.jsonl": b"".join,
    "_klio/receipts/r/compacted.jsonl.gz": lambda lines: gzip.compress(b"".join(lines)),
    "_klio/runs/r/manifest-00000.jsonl": b"".join,
    "_klio/runs/r/failures.jsonl": b"".join,
    "_klio/requests/r.jsonl": b"".join,
    "_klio/runs/r/summary.json": lambda lines: json.dumps(
        {"failures": [json.loads(line) for line in lines], "seconds": 1.0}
    ).encode(),
}


def line_of(entity: str) -> bytes:
    return json.dumps({"v": 1, "entity": entity, "metadata": {"entity": "gone"}}).encode() + b"\n"


@pytest.mark.parametrize("path", FILES)
@given(entity=entity_ids)
def test_only_the_lines_of_the_entity_go_whatever_the_id(path, entity: str):
    others = [line_of(f"{entity}x"), line_of(f"x{entity}")]
    store = MemoryStore()
    store.put(path, FILES[path]([others[0], line_of(entity), others[1]]))

    counted = scrub(store, [entity], write=False)
    done = scrub(store, [entity], write=True)

    unpack = gzip.decompress if path.endswith(".gz") else bytes
    assert counted == done == {path: 1}
    assert unpack(store.get(path)) == unpack(FILES[path](others))


def test_of_many_ids_all_are_found():
    store = MemoryStore()
    store.put("_klio/runs/r/failures.jsonl", b"".join(line_of(f"e{n}") for n in range(100)))

    assert scrub(store, [f"e{n}" for n in range(60)], write=True) == {
        "_klio/runs/r/failures.jsonl": 60
    }


def test_an_entity_that_lay_beside_the_catalogue_once_is_not_the_example_any_more():
    def summary(new_entity: str) -> bytes:
        beside = {"new": 2, "new_entity": new_entity, "unmatched": 0, "unmatched_file": ""}
        return json.dumps({"sources": {"tracks/{entity}.flac": beside}, "failures": []}).encode()

    store = MemoryStore()
    store.put("_klio/runs/r/summary.json", summary("gone"))
    store.put("_klio/runs/s/summary.json", summary("other"))

    counted = scrub(store, ["gone"], write=True)

    assert counted == {"_klio/runs/r/summary.json": 1}
    assert store.get("_klio/runs/r/summary.json") == summary("")
    assert store.get("_klio/runs/s/summary.json") == summary("other")


def test_a_file_that_names_none_of_them_is_not_written_anew():
    store = MemoryStore()
    store.put("_klio/runs/r/failures.jsonl", line_of("a"))
    before = store.head("_klio/runs/r/failures.jsonl")

    assert scrub(store, ["b"], write=True) == {}
    assert store.head("_klio/runs/r/failures.jsonl") == before


def test_a_line_torn_by_a_kill_goes_too_if_it_names_the_entity():
    store = MemoryStore()
    store.put("_klio/receipts/r/w.jsonl", line_of("a") + b'{"v":1,"entity":"b","asset":"si')

    scrub(store, ["b"], write=True)

    assert store.get("_klio/receipts/r/w.jsonl") == line_of("a")
