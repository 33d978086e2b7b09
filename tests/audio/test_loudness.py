"""Loudness against the signals whose loudness the standards state."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import sosfilt

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.levels import peak_dbfs
from klio_dagster.audio.loudness import (
    k_weighted,
    k_weighting,
    loudness_lufs,
    normalise_loudness,
)
from klio_dagster.errors import ConfigError
from tests.audio.sounds import RATE, noisy_tone

EBU_RATE = 48_000


def sine(*parts: tuple[float, float], hz: float = 1000, rate: int = EBU_RATE) -> np.ndarray:
    """A sine through parts of (peak level in dBFS, seconds), shape (frames,)."""
    levels = np.concatenate([np.full(round(s * rate), 10 ** (db / 20)) for db, s in parts])
    phase = 2 * np.pi * hz * np.arange(levels.size) / rate
    return (levels * np.sin(phase)).astype(np.float32)


def stereo(*parts: tuple[float, float]) -> AudioClip:
    return AudioClip(np.stack([sine(*parts)] * 2), EBU_RATE)


# EBU Tech 3341, table 1: the cases of integrated loudness that are signals, not programmes.
EBU_CASES = [
    pytest.param(stereo((-23, 20)), -23.0, id="1"),
    pytest.param(stereo((-33, 20)), -33.0, id="2"),
    pytest.param(stereo((-36, 10), (-23, 60), (-36, 10)), -23.0, id="3: relative gate"),
    pytest.param(
        stereo((-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)),
        -23.0,
        id="4: absolute gate",
    ),
    pytest.param(stereo((-26, 20), (-20, 20.1), (-26, 20)), -23.0, id="5: gate between"),
    pytest.param(
        AudioClip(np.stack([sine((db, 20)) for db in (-28, -28, -24, -30, -30)]), EBU_RATE),
        -23.0,
        id="6: five channels",
    ),
]


@pytest.mark.parametrize(("clip", "lufs"), EBU_CASES)
def test_the_signals_of_ebu_tech_3341_have_the_loudness_it_states(clip, lufs):
    assert loudness_lufs(clip) == pytest.approx(lufs, abs=0.1)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_a_full_scale_sine_of_997_hz_in_one_channel_is_at_minus_3_01(rate):
    clip = AudioClip(sine((0, 5), hz=997, rate=rate), rate)

    # Away from 48 kHz the bilinear transform bends the shelf a little.
    assert loudness_lufs(clip) == pytest.approx(-3.01, abs=0.01 if rate == 48_000 else 0.2)


def test_at_48_khz_the_weighting_is_that_of_the_standard():
    (shelf_b, shelf_a), (pass_b, pass_a) = k_weighting(48_000)

    assert shelf_b == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285])
    assert shelf_a == pytest.approx([1, -1.69065929318241, 0.73248077421585])
    assert pass_b == pytest.approx([1, -2, 1])
    assert pass_a == pytest.approx([1, -1.99004745483398, 0.99007225036621])


@pytest.mark.parametrize("rate", [3_400, 8_000, 44_100, 192_000])
@pytest.mark.parametrize("frames", [1, 31, 32, 33, 100_003])
def test_filtering_in_blocks_is_filtering(rate, frames):
    random = np.random.default_rng(frames)
    clip = AudioClip(random.normal(0.3, 0.2, (2, frames)).astype(np.float32), rate)

    weighted = k_weighted(clip)

    sections = np.array([np.concatenate(section) for section in k_weighting(rate)])
    expected = sosfilt(sections, clip.samples.astype(np.float64))
    assert np.abs(weighted[:, :frames] - expected).max() < 1e-5


@given(st.floats(-30, 0), st.integers(1, 4))
@settings(max_examples=20)
def test_a_gain_moves_the_loudness_by_as_much(gain_db, seconds):
    clip = noisy_tone(seconds)

    quieter = loudness_lufs(clip.with_samples(clip.samples * np.float32(10 ** (gain_db / 20))))

    assert quieter == pytest.approx(loudness_lufs(clip) + gain_db, abs=0.05)


def test_the_low_frequency_channel_of_six_does_not_count():
    five = np.stack([sine((db, 2)) for db in (-28, -28, -24, -30, -30)])
    rumble = sine((0, 2), hz=60)
    six = np.insert(five, 3, rumble, axis=0)

    assert loudness_lufs(AudioClip(six, EBU_RATE)) == loudness_lufs(AudioClip(five, EBU_RATE))


@pytest.mark.parametrize(
    "clip",
    [
        pytest.param(AudioClip(np.zeros((2, RATE), np.float32), RATE), id="silence"),
        pytest.param(AudioClip(np.zeros((1, 0), np.float32), RATE), id="nothing"),
        pytest.param(AudioClip(sine((-1, 0.399)), EBU_RATE), id="399 ms"),
        pytest.param(AudioClip(sine((-75, 5)), EBU_RATE), id="below the gate"),
        pytest.param(AudioClip(sine((-1, 5), rate=3_000), 3_000), id="rate too low"),
    ],
)
def test_what_has_no_loudness_has_none_and_is_left_as_it_is(clip):
    assert loudness_lufs(clip) is None
    assert normalise_loudness(clip) is clip


def test_400_ms_have_a_loudness():
    assert loudness_lufs(AudioClip(sine((-1, 0.4)), EBU_RATE)) is not None


def test_a_normalised_clip_has_the_loudness_it_was_told_to():
    assert loudness_lufs(normalise_loudness(noisy_tone(2), -30)) == pytest.approx(-30, abs=0.01)


def test_no_normalised_clip_goes_beyond_the_peak_it_may_have():
    loud = normalise_loudness(noisy_tone(2), -5, most_peak_dbfs=-1)

    assert peak_dbfs(loud) == pytest.approx(-1, abs=1e-4)
    assert loudness_lufs(loud) < -5


@pytest.mark.parametrize("level", [math.nan, math.inf])
def test_a_target_that_is_no_level_is_refused(level):
    with pytest.raises(ConfigError, match="target_lufs"):
        normalise_loudness(noisy_tone(0.1), level)
