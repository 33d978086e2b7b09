"""Pandera schemas that the tests of `Table` name, and that a fresh process imports."""

import pandera.pandas as pa


class Levels(pa.DataFrameModel):
    """Levels of a track."""

    peak: float = pa.Field(ge=0)
    bars: int = pa.Field(gt=0, coerce=True)

    class Config:
        strict = True


levels = pa.DataFrameSchema({"peak": pa.Column(float, pa.Check.ge(0)), "bars": pa.Column(int)})
not_a_schema = 3
