"""What the tables of the reference project promise.

The assets name these schemas (`Table(schema="beam_jobs.schemas:Features")`): importing pandera
takes 0.4 s, which only a worker that stores such a table should pay.
"""

import pandera.pandas as pa  # noqa: TID253 - a schema is written with it


class Features(pa.DataFrameModel):
    """One row: what a track sounds like as a whole. All values are finite, of silence too."""

    entity: str = pa.Field(description="entity id of the track")
    duration_s: float = pa.Field(gt=0, description="length in seconds")
    rms_dbfs: float = pa.Field(ge=-120, le=0, description="level; -120 is silence")
    centroid_hz: float = pa.Field(ge=0, le=1e6, description="mean frequency by power; 0 is silence")
    mfcc: float = pa.Field(
        alias=r"mfcc_\d\d", regex=True, ge=-1e4, le=1e4, description="mean over the track"
    )

    class Config(pa.DataFrameModel.Config):
        """No column that is not named here."""

        strict = True
