"""The catalogue of entities."""

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from klio_dagster.defs.partitions import register, registered
from klio_dagster.errors import InvalidEntityIdError
from tests.strategies import entity_ids


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def test_an_empty_catalogue_has_nothing(instance):
    assert list(registered(instance, "tracks")) == []


def test_only_new_ids_are_counted_however_often_they_are_named(instance):
    assert register(instance, "tracks", ["b", "a", "b"]) == 2
    assert register(instance, "tracks", ["a", "c", "c"]) == 1
    assert list(registered(instance, "tracks")) == ["b", "a", "c"]


def test_catalogues_are_apart(instance):
    register(instance, "tracks", ["a"])

    assert register(instance, "albums", ["a"]) == 1


def test_more_ids_than_sqlite_binds_values_are_registered_at_once(instance):
    ids = [f"track {n}" for n in range(40_000)]

    assert register(instance, "tracks", iter(ids)) == 40_000
    assert register(instance, "tracks", ids) == 0
    assert list(registered(instance, "tracks")) == ids


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="spaces"),
        pytest.param("a...b", id="range"),
        pytest.param("a\0b", id="nul"),
        pytest.param("x" * 300, id="long"),
    ],
)
def test_a_bad_id_registers_nothing(instance, bad):
    with pytest.raises(InvalidEntityIdError):
        register(instance, "tracks", ["good", bad])

    assert list(registered(instance, "tracks")) == []


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(entity_ids, max_size=5))
def test_law_every_good_id_comes_back_as_it_was(instance, ids):
    register(instance, "tracks", ids)

    assert set(ids) <= set(registered(instance, "tracks"))
