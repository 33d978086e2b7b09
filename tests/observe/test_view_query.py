"""What a request may ask, and that anything else is one line."""

import json

import pytest

from klio_dagster.errors import ConfigError
from klio_dagster.observe.view_query import MOST_ROWS, Bound, Query


def test_nothing_asked_is_the_first_page_by_id():
    assert Query.parse({}) == Query()


def test_conditions_on_numbers_are_read():
    where = json.dumps([["recording.duration_s", ">", 30], ["mel.max", "<=", 0.5]])

    query = Query.parse({"where": where})

    assert query.bounds == (
        Bound("recording.duration_s", ">", 30.0),
        Bound("mel.max", "<=", 0.5),
    )


def test_a_page_has_an_upper_limit():
    assert Query.parse({"limit": "100000"}).limit == MOST_ROWS


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"state": "fine"}, id="unknown-state"),
        pytest.param({"offset": "-1"}, id="negative"),
        pytest.param({"limit": "\u0661"}, id="digit-of-another-script"),
        pytest.param({"offset": "9" * 5000}, id="endless-number"),
        pytest.param({"where": "duration > 30"}, id="no-json"),
        pytest.param({"where": "[" * 100_000}, id="deep-json"),
        pytest.param({"where": '{"a": 1}'}, id="no-list"),
        pytest.param({"where": '[["a", "__class__", 1]]'}, id="unknown-comparison"),
        pytest.param({"where": '[["a", ">", NaN]]'}, id="nan"),
        pytest.param({"where": '[["a", ">", true]]'}, id="truth-value"),
        pytest.param({"where": f'[["a", ">", {"9" * 400}]]'}, id="number-of-400-digits"),
        pytest.param({"where": '[["a", ">"]]'}, id="half-a-condition"),
    ],
)
def test_what_cannot_be_understood_is_refused(given):
    with pytest.raises(ConfigError):
        Query.parse(given)
