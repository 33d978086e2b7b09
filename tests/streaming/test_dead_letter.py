"""A dead letter is kept as it came, found again, sent back or dropped, and never lost."""

import json
import signal
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.core.letter import Letter
from klio_dagster.errors import ConfigError, MessageError
from klio_dagster.store.dead_letter import DeadLetter, put
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import Unreadable, drop, get, listed, replay
from tests.strategies import texts
from tests.streaming.letters import dead

ROOT = Path(__file__).parents[2]

letters = st.builds(
    Letter,
    data=st.binary(max_size=50),
    attributes=st.dictionaries(texts, texts, max_size=3),
    message_id=texts,
    published_at=st.floats(0, 4e9),
    forward=st.binary(max_size=50),
)
dead_letters = st.builds(
    DeadLetter,
    group=st.from_regex(r"[A-Za-z0-9_]{1,20}", fullmatch=True),
    sensor=st.from_regex(r"[A-Za-z0-9_]{1,20}", fullmatch=True),
    entity=st.none() | texts,
    reason=texts,
    error=texts,
    at=st.floats(0, 4e9),
    attempts=st.integers(0, 10),
    letter=letters,
)


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    """A folder, and a store whose objects are read in threads."""
    return Store.open(str(tmp_path)) if request.param == "file" else MemoryStore()


def paths(store) -> list[str]:
    return sorted(info.path for info in store.list())


def letter_in(store, path: str) -> Letter:
    return Letter.from_json(json.loads(store.get(path)))


@given(dead_letters)
def test_what_is_kept_is_read_again_whatever_stands_in_it(dead_letter):
    store = MemoryStore()

    put(store, dead_letter)

    assert get(store, dead_letter.id) == dead_letter
    assert list(listed(store)) == [dead_letter]


@given(dead_letters)
def test_the_message_that_is_sent_back_is_the_one_that_came(dead_letter):
    store = MemoryStore()
    put(store, dead_letter)

    replay(store, [dead_letter.id])

    sent = f"_klio/replay/{dead_letter.sensor}/{dead_letter.id}.json"
    assert paths(store) == [sent]
    assert letter_in(store, sent) == dead_letter.letter


def test_the_same_message_is_kept_once_with_what_was_said_of_it_last(store):
    put(store, dead(attempts=1))
    put(store, dead(attempts=2))

    assert [each.attempts for each in listed(store)] == [2]


def test_a_group_sees_its_own_and_without_one_all_are_seen(store):
    for dead_letter in (dead("b"), dead("a"), dead("a", group="labels")):
        put(store, dead_letter)

    assert [each.group for each in listed(store, "labels")] == ["labels"]
    assert sorted(each.entity for each in listed(store)) == ["a", "a", "b"]


def test_the_beginning_of_an_id_is_enough_if_no_other_begins_like_that(store):
    for number in range(40):
        put(store, dead(str(number)))
    ids = sorted(each.id for each in listed(store))
    twins = next((one, other) for one, other in pairwise(ids) if one[0] == other[0])

    with pytest.raises(ConfigError, match="several begin with"):
        get(store, twins[0][0])
    assert get(store, twins[0][:12]).id == twins[0]


def test_a_message_that_two_groups_gave_up_is_named_with_its_group(store):
    put(store, dead())
    put(store, dead(group="labels"))

    with pytest.raises(ConfigError, match="--group labels or --group tracks"):
        get(store, dead().id)
    assert get(store, dead().id, "labels").group == "labels"


@pytest.mark.parametrize("act", [drop, replay], ids=["drop", "replay"])
def test_an_id_that_none_has_changes_nothing_and_a_near_one_is_named(store, act):
    put(store, dead())
    wrong = "f" + dead().id[1:12] if dead().id[0] != "f" else "0" + dead().id[1:12]

    with pytest.raises(ConfigError, match=f"did you mean '{dead().id[:12]}'"):
        act(store, [dead().id, wrong])
    with pytest.raises(ConfigError, match="none that begins with ''"):
        act(store, [""])

    assert list(listed(store)) == [dead()]


def test_dropped_ones_are_gone_and_others_stay(store):
    put(store, dead("one"))
    put(store, dead("other"))

    assert drop(store, [dead("one").id[:12]]) == 1

    assert list(listed(store)) == [dead("other")]


# ------------------------------------------------------------------ what is no dead letter

GOOD = json.loads(dead("torn").to_bytes())
PLACE = f"_klio/dead-letter/tracks/{dead('torn').id}.json"
WRONG = {
    "torn": dead("torn").to_bytes()[:40],
    "empty": b"",
    "not UTF-8": b"\xff\xfe",
    "another form": b"[]",
    "deeply nested": b"[" * 100_000,
    "a field of another type": json.dumps({**GOOD, "entity": 5}).encode(),
    "no such time": json.dumps({**GOOD, "at": 1e300}).encode(),
    "no time at all": json.dumps({**GOOD, "at": float("nan")}).encode(),
    "bytes that are none": json.dumps({**GOOD, "letter": {"data": "*"}}).encode(),
    "attributes of any type": json.dumps(
        {**GOOD, "letter": {**GOOD["letter"], "attributes": {"a": []}}}
    ).encode(),
    "another letter": json.dumps({**GOOD, "letter": dead("x").letter.to_json()}).encode(),
    "of another group": dead("torn", group="labels").to_bytes(),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_what_is_no_dead_letter_is_one_error_and_stops_no_other(store, data):
    put(store, dead("good"))
    store.put(PLACE, data)

    found = list(listed(store))

    assert dead("good") in found
    (wrong,) = (each for each in found if isinstance(each, Unreadable))
    assert store.uri(PLACE) in str(wrong.error)
    assert "\n" not in str(wrong.error)
    with pytest.raises(MessageError):
        replay(store, [dead("torn").id, dead("good").id])
    assert paths(store) == [PLACE, f"_klio/replay/messages/{dead('good').id}.json"]


def test_what_is_no_dead_letter_can_be_dropped_by_its_name(store):
    for path in ("tracks/notes.txt", "loose.json", "tracks/below/deep.json"):
        store.put(f"_klio/dead-letter/{path}", b"hello")

    assert drop(store, ["notes.txt", "loose", "deep"]) == 3

    assert list(listed(store)) == []


def test_a_file_larger_than_any_message_is_not_loaded(tmp_path):
    store = Store.open(str(tmp_path))
    path = tmp_path / PLACE
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: there is no such disk

    (found,) = listed(store)

    assert isinstance(found, Unreadable)
    assert "larger than any message" in str(found.error)


def test_of_many_large_ones_only_a_few_are_in_memory_at_once(tmp_path):
    store = Store.open(str(tmp_path))
    for number in range(30):
        put(store, dead(letter=Letter(data=bytes(1_000_000), message_id=str(number))))

    tracemalloc.start()
    for _ in listed(store):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 12_000_000


# ------------------------------------------------------------------ back to the sensor


def test_sent_back_twice_it_comes_once(store):
    put(store, dead())

    assert replay(store, [dead().id]) == 1
    assert replay(store, [dead().id]) == 0

    assert paths(store) == [f"_klio/replay/messages/{dead().id}.json"]


def test_an_entity_without_a_message_is_not_sent_anywhere_and_run_is_named(store):
    put(store, dead("track 1", sensor=""))

    with pytest.raises(ConfigError, match="`klio run 'track 1'`"):
        replay(store, [dead("track 1").id])

    assert list(listed(store)) == [dead("track 1", sensor="")]


def test_somebody_may_say_which_sensor_takes_it_in(store):
    put(store, dead(sensor=""))

    replay(store, [dead().id], to=lambda dead_letter: f"{dead_letter.group}_messages")

    assert paths(store) == [f"_klio/replay/tracks_messages/{dead().id}.json"]


@pytest.mark.parametrize(
    ("write", "places"),
    [
        pytest.param(1, ["dead-letter/tracks"], id="before it is on its way"),
        pytest.param(2, ["dead-letter/tracks", "replay/messages"], id="between the writes"),
    ],
)
def test_a_kill_while_it_is_sent_back_loses_nothing(tmp_path, write, places):
    store = Store.open(str(tmp_path))
    put(store, dead())

    died = subprocess.run(
        [sys.executable, "-m", "tests.streaming.letters", store.url, dead().id, str(write)],
        cwd=ROOT,
        check=False,
    )
    left = paths(store)
    replay(store, [dead().id])

    assert died.returncode == -signal.SIGKILL
    assert left == [f"_klio/{place}/{dead().id}.json" for place in places]
    assert paths(store) == [f"_klio/replay/messages/{dead().id}.json"]


def test_what_its_sensor_gave_up_again_meanwhile_is_not_deleted(tmp_path):
    again = dead(attempts=2, at=dead().at + 5)

    class Busy(Store):
        """The sensor is faster than whoever sends it back."""

        def put(self, path: str, data: bytes) -> None:
            super().put(path, data)
            if "/replay/" in path:
                self.delete(path)
                super().put(f"_klio/dead-letter/tracks/{again.id}.json", again.to_bytes())

    store = Busy.open(str(tmp_path))
    put(store, dead())

    replay(store, [dead().id])

    assert list(listed(store)) == [again]
