import enum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.codecs.json import Json
from klio_dagster.errors import ConfigError, EntityError

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
).filter(lambda value: value is not None)


@given(VALUES)
def test_a_value_comes_back_as_it_was(value):
    data = Json().dump(value).data

    loaded = Json().load(data, "tags/a.json")

    assert loaded == value
    assert Json().dump(loaded).data == data


def test_equal_values_give_equal_bytes_in_whatever_order_they_were_filled():
    one = Json().dump({"b": 1, "a": {"y": [1, 2], "x": "Ré"}}).data
    other = Json().dump({"a": {"x": "Ré", "y": (1, 2)}, "b": 1}).data

    assert one == other == '{"a":{"x":"Ré","y":[1,2]},"b":1}'.encode()


def _endless() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value,says",
    [
        pytest.param(None, "the transform returned None", id="forgotten return"),
        pytest.param({"a": [0, float("nan")]}, "Out of range float", id="nan"),
        pytest.param({"a": {"b": [np.float32(1)]}}, "float32 at 'a.b[0]'", id="numpy scalar"),
        pytest.param({"a": np.int64(1)}, "convert it with .item()", id="numpy integer"),
        pytest.param(np.ones(2), "returned numpy.ndarray", id="array"),
        pytest.param({"a": {1: 2}}, "key 1 at 'a' is int, not text", id="number as key"),
        pytest.param({"a": {2, 3}}, "set at 'a' is not JSON", id="set"),
        pytest.param(object(), "returned object", id="object"),
        pytest.param(b"bytes", "returned bytes", id="bytes"),
        pytest.param("\ud800", "surrogates not allowed", id="half a surrogate"),
        pytest.param(10**5000, "digits", id="huge integer"),
        pytest.param(_endless(), "contains itself", id="endless"),
    ],
)
def test_what_json_has_no_word_for_is_refused_in_one_line(value, says):
    with pytest.raises(EntityError) as caught:
        Json().dump(value)

    assert says in str(caught.value)
    assert str(caught.value).startswith("Json: ")
    assert "\n" not in str(caught.value)


def test_text_enums_are_stored_as_their_text():
    class Key(enum.StrEnum):
        C = "C major"

    data = Json().dump({"key": Key.C}).data

    assert data == b'{"key":"C major"}'


def test_a_value_larger_than_agreed_is_refused_with_both_sizes():
    with pytest.raises(EntityError, match="has 22 bytes, 21 are allowed"):
        Json(max_bytes=21).dump("x" * 20)

    assert Json(max_bytes=22).dump("x" * 20).data == b'"' + b"x" * 20 + b'"'


def test_a_size_limit_below_one_is_refused_when_defined():
    with pytest.raises(ConfigError, match="max_bytes is 0; use 1 or more"):
        Json(max_bytes=0)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"a":', id="torn"),
        pytest.param(b"NaN", id="nan"),
        pytest.param(b"\xff\xfe\xfa", id="not text"),
        pytest.param(b"[" * 100_000, id="too deep"),
    ],
)
def test_stored_bytes_that_are_no_json_are_one_clear_error(data):
    with pytest.raises(EntityError, match=r"^tags/a.json: this is not JSON") as caught:
        Json().load(data, "tags/a.json")

    assert "\n" not in str(caught.value)
