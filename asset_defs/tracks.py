"""The track catalogue: a normalised recording, its mel spectrogram, a table of features."""

from collections.abc import Iterator

import dagster as dg

from beam_jobs import audio as jobs
from klio_dagster import (
    Array,
    Audio,
    EntityAsset,
    KlioResource,
    KlioTranslator,
    Table,
    duration_between,
    klio_assets,
    no_nan,
    not_clipped,
    not_silent,
)

tracks = dg.DynamicPartitionsDefinition(name="tracks")


class OfTracks(KlioTranslator):
    """What concerns tracks stands together in the graph and has one owner."""

    def get_asset_spec(self, asset: EntityAsset) -> dg.AssetSpec:
        """What the library says of an asset, in our group."""
        spec = super().get_asset_spec(asset)
        return spec.replace_attributes(group_name="tracks", owners=["team:audio"])

    def get_source_spec(self, pattern: str) -> dg.AssetSpec:
        """What the library says of the recordings, where they are looked for."""
        return super().get_source_spec(pattern).replace_attributes(group_name="tracks")


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
        ),
        EntityAsset(
            "mel",
            jobs.mel_spectrogram,
            deps=["recording"],
            output=Array(),
            params={"n_mels": 128},
            checks=[no_nan()],
        ),
        EntityAsset(
            "features",
            jobs.features,
            deps=["recording", "mel"],
            output=Table(schema="beam_jobs.schemas:Features"),
        ),
    ],
    max_entities_per_run=1000,
    translator=OfTracks(),
    # Whom the next team hears of it from; where no topic is named, nobody does.
    publish_to=dg.EnvVar("TRACKS_TOPIC").get_value() or None,
)
def track_audio(context: dg.AssetExecutionContext, klio: KlioResource) -> Iterator[object]:
    """One entity at a time through the whole chain."""
    yield from klio.run(context=context)
