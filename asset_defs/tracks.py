"""The track catalogue: a normalised recording, its mel spectrogram, a table of features."""

from collections.abc import Iterator

import dagster as dg

from beam_jobs import audio as jobs
from klio_dagster import (
    Array,
    Audio,
    EntityAsset,
    KlioResource,
    Table,
    duration_between,
    klio_assets,
    no_nan,
    not_clipped,
    not_silent,
)

tracks = dg.DynamicPartitionsDefinition(name="tracks")


@klio_assets(
    partitions_def=tracks,
    assets=[
        EntityAsset(
            "recording",
            jobs.normalise,
            source="tracks/{entity}.flac",
            output=Audio("flac"),
            checks=[
                not_silent(severity="warn"),
                duration_between(least_s=0.1, severity="warn"),
                not_clipped(),
            ],
            owners=["team:audio"],
        ),
        EntityAsset(
            "mel",
            jobs.mel_spectrogram,
            deps=["recording"],
            output=Array(),
            params={"n_mels": 128},
            checks=[no_nan()],
            owners=["team:audio"],
        ),
        EntityAsset(
            "features",
            jobs.features,
            deps=["recording", "mel"],
            output=Table(schema="beam_jobs.schemas:Features"),
            owners=["team:audio"],
        ),
    ],
    max_entities_per_run=1000,
)
def track_audio(context: dg.AssetExecutionContext, klio: KlioResource) -> Iterator[object]:
    """One entity at a time through the whole chain."""
    yield from klio.run(context=context)
