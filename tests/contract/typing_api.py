"""What users write, as a type checker sees it. Not run: pyright reads it in `make lint`."""

from typing import assert_type

import dagster as dg
import numpy as np

import klio_dagster
from klio_dagster import (
    Array,
    Audio,
    AudioClip,
    Check,
    CheckFailedError,
    CheckResult,
    ConfigError,
    Entity,
    EntityAsset,
    EntityStep,
    Json,
    KlioError,
    KlioResource,
    KlioTranslator,
    LocalEngine,
    Result,
    SourceFile,
    Table,
    duration_between,
    klio_assets,
    not_silent,
)


def normalise(entity: Entity, source: AudioClip) -> AudioClip:
    """An external input, read as sound."""
    assert_type(entity.id, str)
    assert_type(source.sample_rate, int)
    return source


def size(entity: Entity, source: SourceFile) -> int:
    """An external input, read as a file."""
    return source.path.stat().st_size


def spectrum(entity: Entity, recording: AudioClip, n_mels: int) -> np.ndarray:
    """An input by name, and a parameter."""
    return np.abs(np.fft.rfft(recording.samples, n_mels))


def is_loud(clip: AudioClip, least: float) -> CheckResult:
    """A check of one's own."""
    return CheckResult(clip.peak > least, metadata={"peak": clip.peak})


assert_type(Check(is_loud, severity="warn", params={"least": 0.5}), Check)
assert_type([not_silent(), duration_between(0.1, severity="warn")], list[Check])
assert_type(CheckFailedError("what", "where", "fix").transient, bool)


class Classify:
    """A transform that is set up once a worker."""

    def setup(self) -> None:
        """Load the model."""
        self.labels = ["speech", "music"]

    def __call__(self, entity: Entity, mel: np.ndarray) -> Result:
        """A value with what the UI should show beside it."""
        return Result({"label": self.labels[0]}, metadata={"confidence": 0.9})


class ByTeam(KlioTranslator):
    """A translator is made by overriding methods."""


tracks = dg.DynamicPartitionsDefinition(name="tracks")


@klio_assets(
    partitions_def=tracks,
    assets=[
        EntityAsset("recording", normalise, source="tracks/{entity}.flac", output=Audio("flac")),
        EntityStep("mel", spectrum, deps=["recording"], params={"n_mels": 64}),
        EntityAsset(
            "spectrum", spectrum, deps=["recording"], params={"n_mels": 64}, output=Array()
        ),
        EntityAsset("label", Classify, deps=["mel"], output=Json()),
        EntityAsset("sizes", size, source="tracks/{entity}.flac", output=Table()),
    ],
    max_entities_per_run=1000,
)
def track_audio(context: dg.AssetExecutionContext, klio: KlioResource):
    """One body of one line."""
    yield from klio.run(context=context)


assert_type(track_audio, dg.AssetsDefinition)
assert_type(klio_dagster.__version__, str)

defs = dg.Definitions(
    assets=[track_audio],
    resources={"klio": KlioResource(store="./data", engine=LocalEngine())},
)


def mend(error: KlioError) -> str:
    """Errors carry their parts."""
    assert_type(error.transient, bool)
    return error.fix if isinstance(error, ConfigError) else error.what


# What pyright must see; an ignore without an error is itself an error.
misspelt = klio_dagster.Entiy  # pyright: ignore[reportAttributeAccessIssue]
without_output = EntityAsset("recording", normalise)  # pyright: ignore[reportCallIssue]
