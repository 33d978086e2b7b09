"""Recordings as they come: broken ones are one line each, all others are done."""

import io
import struct

import numpy as np
import soundfile

from klio_dagster.codecs.audio import Audio
from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import Catalogue, group

RATE = 44_100


def noise(frames: int = RATE, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 0.1, (frames, channels)).astype(np.float32)


def written(samples: np.ndarray, kind: str, rate: int = RATE, subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def corrupt(data: bytes) -> bytes:
    """The same length, with nonsense in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes(range(256)) + data[middle + 256 :]


def hour_long_flac(data: bytes) -> bytes:
    """A FLAC whose STREAMINFO promises an hour of frames."""
    at = data.index(b"fLaC") + 8 + 10  # the frames are the low 36 bits of these 8 bytes
    (packed,) = struct.unpack(">Q", data[at : at + 8])
    packed = (packed >> 36 << 36) | 3600 * RATE
    return data[:at] + struct.pack(">Q", packed) + data[at + 8 :]


def hour_long_wav(data: bytes) -> bytes:
    """A WAV whose data chunk promises an hour of 16-bit frames."""
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", 3600 * RATE * 2) + data[at + 4 :]


FLAC, WAV = written(noise(), "FLAC"), written(noise(), "WAV")
NOT_FINITE = np.where(np.arange(RATE)[:, None] == 99, np.nan, noise())

BROKEN = {
    "corrupt.flac": corrupt(FLAC),
    "truncated.flac": FLAC[: len(FLAC) // 2],
    "truncated.wav": WAV[: len(WAV) // 2],
    "empty.flac": b"",
    "header only.wav": written(noise(0), "WAV"),
    "text.flac": b"This is a text.\n" * 100,
    "renamed.flac": WAV,
    "nan.wav": written(NOT_FINITE, "WAV", subtype="FLOAT"),
    "an hour.flac": hour_long_flac(FLAC),
    "an hour.wav": hour_long_wav(WAV),
}
GOOD = {
    "silent.flac": (written(np.zeros((RATE, 1), np.float32), "FLAC"), 1, RATE),
    "short.flac": (written(noise(RATE // 50), "FLAC"), 1, RATE // 50),
    "192 kHz.wav": (written(noise(192_000), "WAV", 192_000), 1, 192_000),
    "8 channels.wav": (written(noise(RATE, 8), "WAV"), 8, RATE),
    "vorbis.ogg": (written(noise(RATE, 2), "OGG", subtype="VORBIS"), 2, RATE),
}


def entity_of(name: str) -> str:
    """One id a file: the name with its suffix, so that the pattern's `*` stays free."""
    return name.replace(".", " as ")


def test_broken_recordings_are_one_line_each_and_all_others_are_done(catalogue: Catalogue) -> None:
    made = group(
        EntityAsset("recording", jobs.clip, source="tracks/{entity}.*", output=Audio("flac")),
        EntityAsset("loudest", jobs.loudest, deps=["recording"], output=Json()),
    )
    for name, data in (BROKEN | {name: data for name, (data, _, _) in GOOD.items()}).items():
        catalogue.put(f"tracks/{entity_of(name)}.{name.rpartition('.')[2]}", data)
        catalogue.register(entity_of(name))

    run = catalogue.run(made, entities="all")

    assert catalogue.materialized("recording") == {entity_of(name) for name in GOOD}
    assert set(run.failures) == {(entity_of(name), "recording") for name in BROKEN}
    for (entity, _), error in run.failures.items():
        assert error.startswith("EntityError: tracks/")
        assert f"/{entity}." in error
        assert "\n" not in error
    for name, (_, channels, frames) in GOOD.items():
        path = f"loudest/{entity_of(name)}.json"
        assert catalogue.load(escaped(path)) == {"channels": channels, "frames": frames}


def escaped(path: str) -> str:
    """Spaces and capitals are escaped in file names."""
    return path.replace(" ", "%20").replace("H", "%48")
