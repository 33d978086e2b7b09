from collections import Counter

import numpy as np
import pytest

from klio_dagster.codecs.array import Array
from klio_dagster.codecs.hashing import data_version
from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.store.memory import MemoryStore
from klio_dagster.testing import run_chain
from tests.engine import jobs

FIRST = EntityAsset("first", jobs.number, output=Json())


def test_inputs_are_bound_by_name_and_params_are_keywords() -> None:
    scaled = EntityAsset(
        "scaled", jobs.scaled, deps=["first"], output=Json(), params={"factor": 10, "plus": 5}
    )

    computed = run_chain([scaled, FIRST], "track-7")

    assert computed.load("scaled") == {"n": 75}


def test_a_source_is_given_as_its_annotation_says() -> None:
    text = EntityAsset("text", jobs.text_of, source="notes/{entity}.txt", output=Json())

    computed = run_chain([text], "a", sources={"notes/{entity}.txt": b"hello"})

    assert computed.load("text") == {"text": "hello"}


def test_a_source_of_several_assets_is_read_once_for_each_entity() -> None:
    read: Counter[str] = Counter()

    class CountingStore(MemoryStore):
        def get(self, path: str) -> bytes:
            read[path] += 1
            return super().get(path)

    pattern, store = "notes/{entity}.txt", CountingStore()
    assets = [EntityAsset(n, jobs.text_of, source=pattern, output=Json()) for n in ("one", "two")]

    computed = run_chain(assets, "a", store=store, sources={pattern: b"hello"})

    assert computed.load("one") == computed.load("two") == {"text": "hello"}
    assert [count for path, count in read.items() if path.startswith("sources/")] == [1]


def test_an_output_is_stored_under_its_name_with_its_hash_in_the_receipt() -> None:
    computed = run_chain([FIRST], "track-7")

    receipt = computed.receipts["first"]
    data = computed.store.get("first/track-7.json")
    assert receipt.data_version == data_version(data)
    assert receipt.size == len(data)


def test_what_is_not_selected_is_loaded_from_the_store() -> None:
    doubled = EntityAsset("doubled", jobs.doubled, deps=["first"], output=Json())
    before = run_chain([FIRST, doubled], "track-7", select=["first"])

    after = run_chain([FIRST, doubled], "track-7", select=["doubled"], store=before.store)

    assert list(after.receipts) == ["doubled"]
    assert after.load("doubled") == {"n": 14}


def test_a_stored_input_that_is_gone_fails_with_the_way_to_mend_it() -> None:
    doubled = EntityAsset("doubled", jobs.doubled, deps=["first"], output=Json())

    computed = run_chain([FIRST, doubled], "track-7", select=["doubled"])

    failure = computed.receipts["doubled"].failure
    assert failure is not None
    assert "compute 'first' again" in failure.message


def test_a_step_is_computed_for_its_consumers_and_never_stored() -> None:
    step = EntityStep("first", jobs.number)
    doubled = EntityAsset("doubled", jobs.doubled, deps=["first"], output=Json())
    length = EntityAsset("length", jobs.length, deps=["first"], output=Json())

    computed = run_chain([step, doubled, length], "track-12")

    assert set(computed.receipts) == {"doubled", "length"}
    assert {info.path for info in computed.store.list()} == {
        "doubled/track-12.json",
        "length/track-12.json",
    }


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: EntityAsset("values", jobs.ramp, output=Array()), id="asset"),
        pytest.param(lambda: EntityStep("values", jobs.ramp), id="step"),
    ],
)
def test_no_consumer_sees_what_another_did_to_an_array(make) -> None:
    changing = EntityAsset("changed", jobs.changes_its_input, deps=["values"], output=Array())
    reading = EntityAsset("total", jobs.total, deps=["values"], output=Json())

    computed = run_chain([make(), changing, reading], "a")

    failure = computed.receipts["changed"].failure
    assert failure is not None
    assert "read-only" in failure.message
    assert computed.load("total") == {"total": 15.0}


def test_no_consumer_of_a_step_sees_what_another_did_to_a_list() -> None:
    step = EntityStep("numbers", jobs.counted_list)
    one = EntityAsset("one", jobs.takes_from_list, deps=["numbers"], output=Json())
    two = EntityAsset("two", jobs.takes_from_list, deps=["numbers"], output=Json())

    computed = run_chain([step, one, two], "a")

    assert computed.load("one") == computed.load("two") == {"last": 3, "left": 2}


def test_metadata_and_figures_of_a_result_reach_the_receipt() -> None:
    shown = EntityAsset("shown", jobs.with_metadata, output=Json())

    receipt = run_chain([shown], "a").receipts["shown"]

    assert receipt.metadata["score"] == 0.5
    assert receipt.figures["dot"] == b"png"


def test_receipts_tell_the_versions_of_inputs_computed_on_the_way() -> None:
    doubled = EntityAsset("doubled", jobs.doubled, deps=["first"], output=Json())

    computed = run_chain([FIRST, doubled], "track-7")

    assert computed.receipts["doubled"].inputs == {"first": computed.receipts["first"].data_version}


def test_arrays_are_passed_on_as_they_would_be_loaded() -> None:
    values = EntityAsset("values", jobs.ramp, output=Array())

    loaded = run_chain([values], "a").load("values")

    assert isinstance(loaded, np.ndarray)
    assert np.array_equal(loaded, [[0, 1, 2], [3, 4, 5]])
