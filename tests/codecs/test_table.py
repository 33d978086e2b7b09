import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as hpd

from klio_dagster.codecs.table import Table
from klio_dagster.core.output import RELOAD
from klio_dagster.errors import ConfigError, EntityError

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
FRAMES = hpd.data_frames(
    [
        hpd.column("count", dtype=np.int64),
        hpd.column("level_db", dtype=np.float32),
        hpd.column("is_loud", dtype=bool),
        hpd.column("title", elements=st.none() | TEXT, dtype=object),
        hpd.column("at", dtype="datetime64[ns]"),
    ],
    index=hpd.range_indexes(max_size=5),
)
GOOD = pd.DataFrame({"peak": [0.5, 0.9], "bars": [4, 8]})


@settings(deadline=None)
@given(FRAMES)
def test_a_table_comes_back_as_it_was(frame):
    dumped = Table().dump(frame)

    loaded = Table().load(dumped.data, "features/a.parquet")

    assert dumped.value is RELOAD
    assert dumped.metadata == {"rows": len(frame), "columns": 5}
    pd.testing.assert_frame_equal(loaded, frame, check_index_type=False)


@settings(deadline=None)
@given(FRAMES)
def test_storing_what_was_loaded_gives_the_same_bytes(frame):
    data = Table().dump(frame).data

    again = Table().dump(Table().load(data, "features/a.parquet")).data

    assert again == data


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pd.array([1, None], "Int64"), id="integers with gaps"),
        pytest.param(pd.array([True, None], "boolean"), id="truth values with gaps"),
        pytest.param(pd.array(["a", None], "string"), id="text"),
        pytest.param(pd.Categorical(["kick", "snare"], ["snare", "kick"]), id="categories"),
        pytest.param(pd.to_datetime(["2020-01-01", None]).tz_localize("UTC"), id="times"),
        pytest.param(pd.to_timedelta(["1s", "2s"]), id="durations"),
    ],
)
def test_a_column_keeps_its_pandas_type(column):
    frame = pd.DataFrame({"x": column})

    loaded = Table().load(Table().dump(frame).data, "features/a.parquet")

    pd.testing.assert_frame_equal(loaded, frame)


def test_each_consumer_gets_a_table_of_its_own():
    data = Table().dump(GOOD).data

    first = Table().load(data, "features/a.parquet")
    first.loc[0, "peak"] = 99.0

    assert Table().load(data, "features/a.parquet").loc[0, "peak"] == 0.5


@pytest.mark.parametrize("frame", [GOOD, GOOD.convert_dtypes()], ids=["numpy", "pandas types"])
def test_notes_on_a_table_do_not_show_in_its_bytes(frame):
    noted = frame.copy()
    noted.attrs["made_at"] = "09:15"

    assert Table().dump(noted).data == Table().dump(frame).data


def test_pieces_of_an_arrow_table_do_not_show_in_its_bytes():
    pieces = pa.concat_tables([pa.table(GOOD.iloc[:1]), pa.table(GOOD.iloc[1:])])

    assert Table().dump(pieces).data == Table().dump(GOOD).data


def test_rows_that_were_filtered_are_numbered_anew():
    loud = GOOD[GOOD["peak"] > 0.6]

    loaded = Table().load(Table().dump(loud).data, "features/a.parquet")

    assert loaded.to_dict("list") == {"peak": [0.9], "bars": [8]}
    assert list(loaded.index) == [0]


@pytest.mark.parametrize(
    "value,says",
    [
        pytest.param(None, "the transform returned None, not a table", id="forgotten return"),
        pytest.param({"a": [1]}, "returned dict, not a table", id="dict"),
        pytest.param(GOOD["peak"], "returned pandas.Series, not a table", id="one column"),
        pytest.param(GOOD.set_index("bars"), "has an index (bars)", id="named index"),
        pytest.param(GOOD.set_index(["bars", "peak"]), "(bars, peak)", id="two indexes"),
        pytest.param(GOOD.describe(), "which would be lost", id="index of text"),
        pytest.param(GOOD.rename(columns={"bars": 1}), "column name 1 is not text", id="number"),
        pytest.param(pd.concat([GOOD, GOOD], axis=1), "two columns have one name", id="twice"),
        pytest.param(pd.DataFrame({"a": [1, "x"]}), "column a with type object", id="mixed"),
        pytest.param(pd.DataFrame({"a": [object()]}), "column a", id="objects"),
        pytest.param(pd.DataFrame({"a": [1j]}), "column a", id="complex"),
    ],
)
def test_a_value_that_is_no_storable_table_is_refused_in_one_line(value, says):
    with pytest.raises(EntityError) as caught:
        Table().dump(value)

    assert says in str(caught.value)
    assert str(caught.value).startswith("Table: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["Levels", "levels"], ids=["model", "schema object"])
def test_a_table_that_keeps_its_contract_is_stored(name):
    dumped = Table(schema=f"tests.codecs.table_schemas:{name}").dump(GOOD)

    pd.testing.assert_frame_equal(Table().load(dumped.data, "features/a.parquet"), GOOD)


def test_what_the_contract_coerces_is_what_is_stored():
    text = GOOD.assign(bars=["4", "8"])

    dumped = Table(schema="tests.codecs.table_schemas:Levels").dump(text)

    assert Table().load(dumped.data, "features/a.parquet")["bars"].tolist() == [4, 8]


@pytest.mark.parametrize(
    "frame,says",
    [
        pytest.param(
            GOOD.assign(peak=[0.5, -0.25]),
            "column 'peak' breaks '>= 0' in 1 of 2 rows, first in row 1: -0.25; ",
            id="a value",
        ),
        pytest.param(
            GOOD.assign(peak=[-1.0, -1.0], bars=[0, 1]),
            "in 2 of 2 rows, first in row 0: -1.0 (other broken constraints: 1)",
            id="several values",
        ),
        pytest.param(
            GOOD.assign(bars=[4, 0])[1:], "in 1 of 1 rows, first in row 0: 0", id="filtered"
        ),
        pytest.param(GOOD.drop(columns="bars"), "column 'bars' is missing", id="column missing"),
        pytest.param(GOOD.assign(x=1), "column 'x' is not in the schema", id="column too many"),
        pytest.param(
            GOOD.assign(peak=[None, 0.5]), "breaks 'no missing value' in 1 of 2 rows", id="no value"
        ),
        pytest.param(
            GOOD.assign(peak=[1, 2]), "column 'peak' breaks 'type float64': int64", id="type"
        ),
    ],
)
def test_a_table_that_breaks_its_contract_says_where_in_one_line(frame, says):
    with pytest.raises(EntityError) as caught:
        Table(schema="tests.codecs.table_schemas:Levels").dump(frame)

    assert says in str(caught.value)
    assert str(caught.value).startswith("Table(Levels): ")
    assert "\n" not in str(caught.value)


def test_a_schema_may_be_given_itself_or_by_name():
    from tests.codecs.table_schemas import Levels

    assert Table(schema=Levels) == Table(schema="tests.codecs.table_schemas:Levels")
    assert Table(schema=Levels).to_json() == {"schema": "tests.codecs.table_schemas:Levels"}


def _made_in_a_function() -> type:
    class Local:
        validate = print

    return Local


@pytest.mark.parametrize(
    "schema,says",
    [
        pytest.param("Levels", "not a name like 'package.module:Name'", id="no module"),
        pytest.param("a:b;import os", "not a name like", id="code"),
        pytest.param(int, "has no validate()", id="no schema"),
        pytest.param(_made_in_a_function(), "defined inside a function", id="inside a function"),
        pytest.param(3, "does not know its own name", id="number"),
    ],
)
def test_a_schema_no_worker_could_import_is_refused_when_defined(schema, says):
    with pytest.raises(ConfigError) as caught:
        Table(schema=schema)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    "schema,says",
    [
        pytest.param("no_such_module:X", "No module named 'no_such_module'", id="no module"),
        pytest.param(
            "tests.codecs.table_schemas:Nothing", "has no attribute 'Nothing'", id="no name"
        ),
        pytest.param(
            "tests.codecs.table_schemas:not_a_schema", "3 has no validate()", id="no schema"
        ),
    ],
)
def test_a_schema_that_cannot_be_imported_names_itself(schema, says):
    with pytest.raises(ConfigError) as caught:
        Table(schema=schema).dump(GOOD)

    assert says in str(caught.value)
    assert str(caught.value).startswith(f"schema '{schema}': ")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(Table().dump(GOOD).data[:-20], id="truncated"),
        pytest.param(b"PAR1" + b"\xff" * 40 + b"PAR1", id="nonsense"),
    ],
)
def test_stored_bytes_that_are_no_table_are_one_clear_error(data):
    with pytest.raises(EntityError, match=r"^features/a.parquet: this is not a Parquet") as caught:
        Table().load(data, "features/a.parquet")

    assert "\n" not in str(caught.value)
