"""What the UI shows of an output."""

import math
from dataclasses import replace

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.core.output import Column
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.metadata import metadata_of
from tests.strategies import receipts

RECEIPT = Receipt(
    run="r",
    entity="a",
    asset="recording",
    started_at=10.0,
    finished_at=10.123456789,
    cpu_s=0.1,
    uri="/data/recording/a.flac",
    size=12_345,
    codec={"name": "audio", "format": "flac"},
)


def values(**fields):
    return {name: each.value for name, each in metadata_of(replace(RECEIPT, **fields)).items()}


def test_every_output_says_where_it_lies_how_it_is_loaded_and_what_it_cost():
    assert values() == {
        "bytes": 12_345,
        "seconds": 0.123,
        "cpu_seconds": 0.1,
        "uri": "/data/recording/a.flac",
        "codec": {"name": "audio", "format": "flac"},
    }


@pytest.mark.parametrize(
    ("value", "shown", "kind"),
    [
        pytest.param(2.2499773242630385, 2.24998, dg.FloatMetadataValue, id="long"),
        pytest.param(123_456_789.0, 123_457_000.0, dg.FloatMetadataValue, id="large"),
        pytest.param(-1.23456789e-9, -1.23457e-9, dg.FloatMetadataValue, id="tiny"),
        pytest.param(0.0, 0.0, dg.FloatMetadataValue, id="zero"),
        pytest.param(float("-inf"), "-inf", dg.TextMetadataValue, id="silence"),
        pytest.param(float("nan"), "nan", dg.TextMetadataValue, id="nan"),
        pytest.param(True, True, dg.BoolMetadataValue, id="bool"),
        pytest.param(44_100, 44_100, dg.IntMetadataValue, id="int"),
        pytest.param(2**60, 2**60, dg.IntMetadataValue, id="long-int"),
        pytest.param("C minor", "C minor", dg.TextMetadataValue, id="text"),
    ],
)
def test_a_measured_value_is_shown_short_and_as_what_it_is(value, shown, kind):
    metadata = metadata_of(replace(RECEIPT, metadata={"x": value}))

    assert isinstance(metadata["x"], kind)
    assert metadata["x"].value == shown


def test_a_thumbnail_is_shown_in_place_before_everything_else():
    metadata = metadata_of(replace(RECEIPT, figures={"waveform": bytes(700)}))

    assert next(iter(metadata)) == "waveform"
    assert isinstance(metadata["waveform"], dg.MarkdownMetadataValue)
    assert len(metadata["waveform"].value) < 1000


def test_a_figure_too_large_for_the_page_is_named_with_its_size():
    shown = values(figures={"plot": bytes(20_000), "poster": bytes(2_000_000)})

    assert shown["plot"].startswith("![plot](data:image/png;base64,")
    assert shown["poster"] == "a figure of 2000000 bytes: too large for this page"


@given(receipts())
def test_law_whatever_a_receipt_says_dagster_takes_it(receipt):
    event = dg.AssetMaterialization("recording", partition="a", metadata=metadata_of(receipt))

    assert dg.deserialize_value(dg.serialize_value(event)).metadata == event.metadata


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_law_six_digits_are_kept(value):
    shown = values(metadata={"x": value})["x"]

    assert math.isclose(shown, value, rel_tol=5.1e-6, abs_tol=1e-320)


def test_the_columns_of_a_table_are_where_the_ui_looks_for_them():
    column = Column(name="level", type="double", nullable=False, constraints=("<= 0",))

    schema = values(columns=[column])["dagster/column_schema"]

    assert [(c.name, c.type, c.constraints.other) for c in schema.columns] == [
        ("level", "double", ["<= 0"])
    ]
