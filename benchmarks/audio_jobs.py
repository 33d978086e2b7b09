"""The same work twice: as a plain function, and as entity assets.

Two kernels: `shared` makes the MFCCs of the mel spectrogram (about 17 ms a clip), `twice` calls
librosa's two functions on the samples, as most users do (about 25 ms).
"""

import io
from pathlib import Path
from typing import Literal

import numpy as np

from klio_dagster.audio.clip import AudioClip

Kernel = Literal["shared", "twice"]

_DEFINITIONS = """
import dagster as dg
from benchmarks import audio_jobs as jobs
from klio_dagster import (
    Array, EntityAsset, FlinkEngine, KlioResource, LocalEngine, PrismEngine, klio_assets,
    source_assets,
)

clips = dg.DynamicPartitionsDefinition(name="clips")

@klio_assets(
    partitions_def=clips,
    assets=[
        EntityAsset("mel", jobs.mel, source="clips/{{entity}}.*", output=Array()),
        {mfcc},
    ],
)
def clip_features(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

defs = dg.Definitions(
    assets=[clip_features, *source_assets(clip_features)],
    resources={{"klio": KlioResource(store="data", engine={engine})}},
    executor=dg.in_process_executor,
)
"""


_MFCC = {
    "shared": 'EntityAsset("mfcc", jobs.mfcc, deps=["mel"], output=Array())',
    "twice": 'EntityAsset("mfcc", jobs.mfcc_of_samples, source="clips/{entity}.*", output=Array())',
}


def definitions(kernel: Kernel, engine: str = "LocalEngine()") -> str:
    """Source of a module that defines the two assets.

    Args:
        kernel: which of the two.
        engine: an expression of what computes them.
    """
    return _DEFINITIONS.format(mfcc=_MFCC[kernel], engine=engine)


def mel(source: AudioClip) -> np.ndarray:
    """Mel spectrogram, (128, frames), power: librosa's own, as most users call it."""
    import librosa

    return librosa.feature.melspectrogram(y=source.mono().samples[0], sr=source.sample_rate)


def mfcc(mel: np.ndarray) -> np.ndarray:
    """MFCCs of a mel spectrogram, (20, frames)."""
    import librosa

    return librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20)


def mfcc_of_samples(source: AudioClip) -> np.ndarray:
    """MFCCs of a clip, (20, frames)."""
    import librosa

    return librosa.feature.mfcc(y=source.mono().samples[0], sr=source.sample_rate, n_mfcc=20)


def plain(job: tuple[str, str, Kernel]) -> None:
    """Decode, compute and write one clip, without any of us around it."""
    from klio_dagster.audio.read import read_audio

    path, target, kernel = Path(job[0]), Path(job[1]), job[2]
    clip = read_audio(path.read_bytes(), where=path.name)
    spectrum = mel(clip)
    coefficients = mfcc(spectrum) if kernel == "shared" else mfcc_of_samples(clip)
    for name, value in (("mel", spectrum), ("mfcc", coefficients)):
        buffer = io.BytesIO()
        np.save(buffer, value)
        (target / f"{path.stem}.{name}.npy").write_bytes(buffer.getvalue())
