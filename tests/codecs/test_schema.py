import pandas as pd
import pandera.pandas as pa
import pytest

from klio_dagster.codecs.schema import described_columns, readable, validated


@pytest.mark.parametrize(
    ("constraint", "reads"),
    [
        ("greater_than(0)", "> 0"),
        ("less_than_or_equal_to(-1.5)", "<= -1.5"),
        ("in_range(0, 1)", "0..1"),
        ("isin(['x', 'y'])", "one of ['x', 'y']"),
        ("str_matches('^a')", "matches '^a'"),
        ("dtype('float64')", "type float64"),
        ("not_nullable", "no missing value"),
        ("field_uniqueness", "no value twice"),
        ("is_even", "is_even"),
        ("mine(a, b)", "mine(a, b)"),
    ],
)
def test_a_constraint_reads_as_a_person_writes_it(constraint, reads):
    assert readable(constraint) == reads


def test_every_broken_constraint_is_told_once_with_its_rows_and_an_example():
    schema = pa.DataFrameSchema(
        {
            "level": pa.Column(float, [pa.Check.ge(0), pa.Check.le(1)], unique=True),
            "name": pa.Column(str),
        },
        checks=pa.Check(lambda frame: len(frame) > 9, name="is_long"),
    )
    frame = pd.DataFrame({"level": [0.5, 0.5, 3.0, -1.0, -2.0]})

    kept, evaluation = validated(frame, schema, "warn")

    assert kept is frame
    assert evaluation.metadata == {
        "rows": 5,
        "violations": 5,
        "name: is missing": "name",
        "level: no value twice": "in 2 of 5 rows, first in row 0: 0.5",
        "level: >= 0": "in 2 of 5 rows, first in row 3: -1.0",
        "level: <= 1": "in 1 of 5 rows, first in row 2: 3.0",
        "table: is_long": "False",
    }
    assert evaluation.description.endswith("(other broken constraints: 4)")


def test_a_promise_about_many_columns_is_told_of_each():
    schema = pa.DataFrameSchema(
        {
            r"mfcc_\d\d": pa.Column(
                float, pa.Check.le(9), regex=True, description="mean", unique=True
            )
        }
    )

    columns = described_columns({"mfcc_00": "double", "other": "string"}, schema)

    assert [(c.name, c.description, c.unique, c.constraints) for c in columns] == [
        ("mfcc_00", "mean", True, ("<= 9",)),
        ("other", "", False, ()),
    ]
