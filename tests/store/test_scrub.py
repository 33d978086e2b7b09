"""Our own folder without an entity: every line that names it, and no other."""

import gzip
import json

import pytest
from hypothesis import given

from klio_dagster.core.letter import Asked, Letter, TakenIn
from klio_dagster.store.dead_letter import put
from klio_dagster.store.given_up import remember
from klio_dagster.store.inbox import write_batch
from klio_dagster.store.kept import Unasked, Waiting, hold, put_waiting
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.outbox import (
    leave,
    left_behind,
    published,
    put_published,
    read_outbox,
)
from klio_dagster.store.scrub import scrub, scrub_messages
from klio_dagster.streaming.dead_letter import listed, replay
from tests.strategies import entity_ids
from tests.streaming.letters import dead

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


def asked(entity: str, *numbers: int) -> Asked:
    return Asked(entity=entity, letters=tuple(Letter(data=bytes([n])) for n in numbers))


@given(entity=entity_ids)
def test_kept_messages_of_the_entity_go_whole_and_no_other_whatever_the_id(entity: str):
    store = MemoryStore()
    others = [f"{entity[:100]}{end}" for end in "+x/"]
    for name in (entity, *others):
        put(store, dead(name, sensor="replayed"))
        replay(store, [dead(name, sensor="replayed").id])
        put(store, dead(name))
        hold(store, "tracks", "s", asked(name, 1, 2, 3))
        remember(store, "tracks", name, 7, at=1.0)
        waiting = Waiting(asset="audio/mel", sensor="s", asked=asked(name, 1, 2))
        put_waiting(store, Unasked("", "1-aaaaaaaa-bbbbbbbb", 1.0), waiting)

    counted = scrub_messages(store, [entity], write=False)
    before = len(list(store.list()))
    done = scrub_messages(store, [entity], write=True)

    assert counted == done
    assert sorted(done.values()) == [0, 1, 1, 2, 3]
    assert before - len(list(store.list())) == 5
    assert scrub_messages(store, others, write=False).keys() == {i.path for i in store.list()}
    assert {each.entity for each in listed(store)} == set(others)


@pytest.mark.parametrize("others", [0, 30], ids=["one id", "many ids"])
def test_messages_that_only_quote_the_entity_stay_and_torn_ones_go(others):
    store = MemoryStore()
    put(store, dead("b", error='upstream of "a" failed'))
    put(store, dead("a", entity=None))
    store.put("_klio/dead-letter/tracks/notes.txt", b'ask about "a"')
    store.put("_klio/dead-letter/tracks/deep.json", b"[" * 100_000)
    store.put("_klio/dead-letter/tracks/torn.json", b'{"v": 1, "entity": "a", "rea')
    store.put("_klio/held/tracks/a=1", b'{"entity": "a", "lett')

    assert scrub_messages(store, ["a", *(f"e{n}" for n in range(others))], write=True) == {
        "_klio/dead-letter/tracks/torn.json": 1,
        "_klio/held/tracks/a=1": 1,
    }


def test_a_batch_of_the_inbox_is_left_to_its_run():
    store = MemoryStore()
    write_batch(store, "messages", [asked("a", 1)])

    assert scrub_messages(store, ["a"], write=True) == {}
    assert scrub(store, ["a"], write=True) == {}


def test_notes_of_what_is_passed_on_do_not_name_it_any_more():
    store = MemoryStore()
    leave(store, "tracks", "work", [TakenIn(asked=Asked(entity=each)) for each in ("a", "b")])
    put_published(store, "work", ["a", "c"])

    counted = scrub(store, ["a"], write=True)

    assert sorted(counted.values()) == [1, 1]
    (path,) = left_behind(store, "tracks")
    outbox = read_outbox(store, path)
    assert outbox is not None
    assert [each.asked.entity for each in outbox.left] == ["b"]
    assert published(store, "work") == {"c"}
