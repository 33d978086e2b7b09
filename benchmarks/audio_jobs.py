"""The same work twice: as a plain function, and as entity assets."""

import io
from pathlib import Path

import numpy as np

from klio_dagster.audio.clip import AudioClip

DEFINITIONS = """
import dagster as dg
from benchmarks import audio_jobs as jobs
from klio_dagster import Array, EntityAsset, KlioResource, klio_assets, source_assets

clips = dg.DynamicPartitionsDefinition(name="clips")

@klio_assets(
    partitions_def=clips,
    assets=[
        EntityAsset("mel", jobs.mel, source="clips/{entity}.*", output=Array()),
        EntityAsset("mfcc", jobs.mfcc, deps=["mel"], output=Array()),
    ],
)
def clip_features(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

defs = dg.Definitions(
    assets=[clip_features, *source_assets(clip_features)],
    resources={"klio": KlioResource(store="data")},
    executor=dg.in_process_executor,
)
"""


def mel(source: AudioClip) -> np.ndarray:
    """Mel spectrogram, (128, frames), power: librosa's own, as most users call it."""
    import librosa

    return librosa.feature.melspectrogram(y=source.mono().samples[0], sr=source.sample_rate)


def mfcc(mel: np.ndarray) -> np.ndarray:
    """MFCCs of a mel spectrogram, (20, frames)."""
    import librosa

    return librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20)


def plain(job: tuple[str, str]) -> None:
    """Decode, compute and write one clip, without any of us around it."""
    from klio_dagster.audio.read import read_audio

    path, target = Path(job[0]), Path(job[1])
    spectrum = mel(read_audio(path.read_bytes(), where=path.name))
    for name, value in (("mel", spectrum), ("mfcc", mfcc(spectrum))):
        buffer = io.BytesIO()
        np.save(buffer, value)
        (target / f"{path.stem}.{name}.npy").write_bytes(buffer.getvalue())
