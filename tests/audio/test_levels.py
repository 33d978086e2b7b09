import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.levels import clipped_samples, normalise_peak, peak_dbfs
from klio_dagster.errors import ConfigError
from tests.audio.sounds import RATE, clips, noisy_tone

SILENCE = AudioClip(np.zeros((2, 100), np.float32), RATE)


@pytest.mark.parametrize(
    ("peak", "dbfs"), [(1.0, 0.0), (0.5, -6.0206), (2.0, 6.0206), (0.001, -60.0)]
)
def test_the_peak_level_is_relative_to_full_scale(peak, dbfs):
    clip = AudioClip(np.array([0.0, -peak], np.float32), RATE)

    assert peak_dbfs(clip) == pytest.approx(dbfs, abs=1e-4)


def test_silence_has_no_level():
    assert peak_dbfs(SILENCE) == -math.inf


@given(clips, st.floats(-60, 6))
def test_a_normalised_clip_peaks_where_it_was_told_to(clip, level):
    normalised = normalise_peak(clip, level)

    if clip.peak > 0:
        assert peak_dbfs(normalised) == pytest.approx(level, abs=1e-4)


def test_channels_keep_their_balance():
    clip = AudioClip(np.array([[0.5, 0.1], [0.25, 0.0]], np.float32), RATE)

    normalised = normalise_peak(clip, 0.0).samples

    assert normalised[:, 0].tolist() == [1.0, 0.5]


def test_silence_stays_silence():
    assert normalise_peak(SILENCE) is SILENCE


def test_the_faintest_sound_becomes_loud_and_not_infinite():
    clip = AudioClip(np.array([1e-42, -1e-42], np.float32), RATE)

    assert normalise_peak(clip, 0.0).samples.tolist() == [[1.0, -1.0]]


@pytest.mark.parametrize("level", [math.nan, math.inf, -math.inf])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ConfigError, match="peak_dbfs"):
        normalise_peak(noisy_tone(0.1), level)


@given(clips)
def test_clipped_samples_are_those_beyond_full_scale(clip):
    assert clipped_samples(clip) == sum(abs(value) > 1 for value in clip.samples.ravel().tolist())
