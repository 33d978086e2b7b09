import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from beam_jobs import audio as jobs
from klio_dagster import Array, Audio, AudioClip, Entity, Table

TRACK = Entity("track")
STORED = Table(schema="beam_jobs.schemas:Features")


def _tone(hz: float, seconds: float, peak: float = 0.5, channels: int = 1) -> AudioClip:
    phase = 2 * np.pi * hz * np.arange(round(44100 * seconds)) / 44100
    return AudioClip(
        (peak * np.sin(phase)).astype(np.float32)[np.newaxis].repeat(channels, 0), 44100
    )


def _silence(frames: int, channels: int = 1) -> AudioClip:
    return AudioClip(np.zeros((channels, frames), np.float32), 44100)


def _row(clip: AudioClip) -> dict[str, object]:
    """The features of a clip, through the codecs as in a run."""
    recording = Audio("flac").dump(jobs.normalise(TRACK, clip)).value
    mel = Array().dump(jobs.mel_spectrogram(TRACK, recording, n_mels=128)).value
    table = STORED.dump(jobs.features(TRACK, recording, mel).value).data
    return STORED.load(table, "features/track.parquet").to_dict("records")[0]


@pytest.mark.parametrize("peak", [0.01, 0.5, 1.0, 3.0])
def test_a_recording_is_brought_to_one_decibel_below_full_scale(peak):
    normalised = jobs.normalise(TRACK, _tone(440, 0.1, peak))

    assert 20 * math.log10(normalised.peak) == pytest.approx(-1.0, abs=1e-4)


def test_the_mel_spectrogram_shows_a_tone_in_its_band():
    mel = jobs.mel_spectrogram(TRACK, _tone(1000, 1.0, channels=2), n_mels=64)

    assert mel.shape == (64, 1 + 44100 // 512)
    assert mel.dtype == np.float32
    assert np.all(mel.argmax(axis=0)[2:-2] == mel.sum(axis=1).argmax())


def test_the_features_of_a_tone_are_its_length_its_level_and_its_frequency():
    row = _row(_tone(1000, 2.0))

    assert row["entity"] == "track"
    assert row["duration_s"] == 2.0
    assert row["rms_dbfs"] == pytest.approx(-1.0 - 20 * math.log10(math.sqrt(2)), abs=0.01)
    assert row["centroid_hz"] == pytest.approx(1000, rel=0.02)


@pytest.mark.parametrize(
    "clip",
    [
        pytest.param(_silence(88200), id="silence"),
        pytest.param(_silence(88200, channels=2), id="silence in stereo"),
        pytest.param(_silence(1), id="one silent sample"),
        pytest.param(_tone(1000, 0.02), id="20 ms"),
        pytest.param(_tone(1000, 0.02, channels=2), id="20 ms in stereo"),
        pytest.param(_tone(1000, 0.5, channels=8), id="eight channels"),
        pytest.param(_tone(1000, 0.5, peak=1e-30), id="as good as silent"),
        pytest.param(AudioClip(np.ones((1, 1), np.float32), 192_000), id="one sample at 192 kHz"),
    ],
)
def test_an_odd_track_has_finite_features_that_keep_the_contract(clip):
    row = _row(clip)

    numbers = [value for name, value in row.items() if name != "entity"]
    assert len(numbers) == 3 + jobs.N_MFCC
    assert all(math.isfinite(number) for number in numbers)


@settings(deadline=None, max_examples=30)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 3000)),
        elements=st.floats(-4, 4, width=32),
        fill=st.just(0.25),
    )
)
def test_any_sound_keeps_the_contract(samples):
    row = _row(AudioClip(samples, 22050))

    assert row["rms_dbfs"] >= jobs.SILENCE_DBFS


def test_a_level_below_the_lowest_is_the_lowest():
    assert jobs.rms_dbfs(_tone(1000, 0.5, peak=1e-9)) == jobs.SILENCE_DBFS


def test_silence_has_the_lowest_level_and_no_frequency():
    row = _row(_silence(88200))

    assert (row["rms_dbfs"], row["centroid_hz"]) == (jobs.SILENCE_DBFS, 0.0)


def test_the_ui_shows_what_the_features_say_of_a_track():
    recording = _tone(1000, 1.0)

    shown = jobs.features(TRACK, recording, jobs.mel_spectrogram(TRACK, recording, 128)).metadata

    assert set(shown) == {"duration_s", "rms_dbfs", "centroid_hz"}
    assert shown["duration_s"] == 1.0
