"""A store belongs to the Dagster instance that has recorded it."""

from pathlib import Path

import dagster as dg
import pytest

from klio_dagster.errors import ConfigError
from klio_dagster.ledger.adopted import adopt_store, check_store_is_ours
from klio_dagster.ledger.internals.instance import instance_id
from klio_dagster.store.layout import LEDGER_PATH
from klio_dagster.store.memory import MemoryStore


def test_the_first_run_has_the_store_remember_its_instance_whatever_home_it_moves_to(
    tmp_path: Path,
):
    store = MemoryStore()

    for _ in range(2):
        with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
            adopt_store(store, instance, ["mel"], allow_new=False)

    assert store.exists(LEDGER_PATH)


def test_an_empty_instance_is_refused_with_one_line_that_says_the_ways_on():
    store = MemoryStore()
    with dg.instance_for_test() as first:
        adopt_store(store, first, ["mel"], allow_new=False)

    with (
        dg.instance_for_test() as empty,
        pytest.raises(ConfigError, match="DAGSTER_HOME") as refused,
    ):
        adopt_store(store, empty, ["mel"], allow_new=False)

    said = str(refused.value)
    assert len(said.splitlines()) == 1
    assert all(way in said for way in ("klio dev", "allow_new_ledger: true", "--new-ledger"))


def test_an_empty_instance_starts_over_when_told_to_and_is_remembered_then():
    store = MemoryStore()
    with dg.instance_for_test() as first:
        adopt_store(store, first, ["mel"], allow_new=False)

    with dg.instance_for_test() as second:
        adopt_store(store, second, ["mel"], allow_new=True)
        adopt_store(store, second, ["mel"], allow_new=False)


def test_an_instance_that_knows_something_takes_the_store_over():
    store = MemoryStore()
    with dg.instance_for_test() as first:
        adopt_store(store, first, ["mel"], allow_new=False)

    with dg.instance_for_test() as second:
        second.report_runless_asset_event(dg.AssetMaterialization("mel", partition="a"))
        adopt_store(store, second, ["recording", "mel"], allow_new=False)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff"], ids=repr)
def test_a_file_nobody_can_read_is_one_clear_line(data: bytes):
    store = MemoryStore()
    store.put(LEDGER_PATH, data)

    with (
        dg.instance_for_test() as instance,
        pytest.raises(ConfigError, match="remove it; the next run writes it anew"),
    ):
        adopt_store(store, instance, ["mel"], allow_new=False)


def test_a_store_of_another_instance_is_refused_with_one_line_and_left_as_it_is():
    store = MemoryStore()
    with dg.instance_for_test() as first:
        adopt_store(store, first, ["mel"], allow_new=False)
        remembered = store.get(LEDGER_PATH)
        check_store_is_ours(store, first)

    with dg.instance_for_test() as second:
        second.report_runless_asset_event(dg.AssetMaterialization("mel", partition="a"))
        with pytest.raises(ConfigError) as refused:
            check_store_is_ours(store, second)

    assert len(str(refused.value).splitlines()) == 1
    assert "DAGSTER_HOME" in str(refused.value)
    assert store.get(LEDGER_PATH) == remembered


def test_a_store_that_remembers_no_instance_is_anybodys():
    store = MemoryStore()

    with dg.instance_for_test() as instance:
        check_store_is_ours(store, instance)

    assert not store.exists(LEDGER_PATH)


@pytest.mark.parametrize(
    ("stored", "is_refused"),
    [
        pytest.param([], True, id="the store is another one, or was emptied"),
        pytest.param(["mel/a.npy"], False, id="it was moved, and forgot its instance"),
    ],
)
def test_a_store_without_what_is_recorded_as_done_is_refused(stored, is_refused):
    store = MemoryStore()
    for path in stored:
        store.put(path, b"output")
    with dg.instance_for_test() as instance:
        made = dg.AssetMaterialization(
            "mel", partition="a", metadata={"uri": dg.MetadataValue.path("/before/mel/a.npy")}
        )
        instance.report_runless_asset_event(made)

        if is_refused:
            with pytest.raises(ConfigError, match=r"/before/mel/a\.npy"):
                adopt_store(store, instance, ["recording", "mel"], allow_new=False)
            adopt_store(store, instance, ["recording", "mel"], allow_new=True)
        adopt_store(store, instance, ["recording", "mel"], allow_new=False)

    assert store.exists(LEDGER_PATH)


def test_two_processes_that_are_the_first_of_an_instance_give_it_one_id(tmp_path, monkeypatch):
    rows: list[str] = []

    def get_run_storage_id():
        """As Dagster does where another process writes between the look and the writing."""
        if rows:
            return rows[0]
        rows.extend(["the other's", "ours"])
        return "ours"

    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        monkeypatch.setattr(instance.run_storage, "get_run_storage_id", get_run_storage_id)

        assert instance_id(instance) == "the other's"
