import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.levels import (
    clipped_samples,
    count_overs,
    duration_between,
    no_dc_offset,
    no_nan,
    normalise_peak,
    not_clipped,
    not_silent,
    peak_dbfs,
)
from klio_dagster.core.entity import Entity
from klio_dagster.engine.checks import BoundCheck
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


def evaluated(check, value):
    return BoundCheck.of(check.to_json())(value, Entity("track"))


def tone(peak: float, seconds: float = 0.5, offset: float = 0.0) -> AudioClip:
    phase = 2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE
    wave = peak * np.sin(phase) + offset
    return AudioClip(np.clip(wave, -1, 1).astype(np.float32), RATE)


EMPTY = AudioClip(np.zeros((1, 0), np.float32), RATE)
GAP = np.array([[0.5, math.nan, math.inf]], np.float32)

CHECKED = [
    pytest.param(not_silent(), tone(0.5), True, "the peak is at -6.0 dBFS", id="sound"),
    pytest.param(not_silent(), SILENCE, False, "the peak is at -inf dBFS", id="silence"),
    pytest.param(not_silent(), EMPTY, False, "the peak is at -inf dBFS", id="nothing"),
    pytest.param(not_silent(-80), tone(2e-4), True, "the peak is at -74.0 dBFS", id="faint"),
    pytest.param(not_silent(), tone(2e-4), False, "the peak is at -74.0 dBFS", id="too faint"),
    pytest.param(not_clipped(), tone(0.9), True, "0 overs", id="headroom"),
    pytest.param(not_clipped(), tone(1.5, 0.01), False, "9 overs", id="clipped"),
    pytest.param(not_clipped(9), tone(1.5, 0.01), True, "9 overs", id="clipped as allowed"),
    pytest.param(not_clipped(), EMPTY, True, "0 overs", id="nothing is not clipped"),
    pytest.param(duration_between(0.5, 1), tone(0.5), True, "it lasts 0.500 s", id="ends included"),
    pytest.param(duration_between(0.6), tone(0.5), False, "it lasts 0.500 s", id="too short"),
    pytest.param(duration_between(0, 0.4), tone(0.5), False, "it lasts 0.500 s", id="too long"),
    pytest.param(
        no_dc_offset(), tone(0.5), True, "the offset is 0.0000 of full scale", id="centred"
    ),
    pytest.param(
        no_dc_offset(),
        tone(0.5, offset=0.05),
        False,
        "the offset is 0.0500 of full scale, -26.0 dBFS",
        id="off centre",
    ),
    pytest.param(no_dc_offset(), EMPTY, True, "0.0000 of full scale", id="nothing is centred"),
    pytest.param(no_nan(), tone(0.5), True, "0 of 22050 are no number", id="numbers"),
    pytest.param(no_nan(), GAP, False, "2 of 3 are no number", id="gaps"),
    pytest.param(
        no_nan(), AudioClip(GAP, RATE), False, "2 of 3 are no number", id="gaps in a clip"
    ),
    pytest.param(no_nan(), np.arange(3), True, "", id="whole numbers"),
]


@pytest.mark.parametrize(("check", "value", "passes", "says"), CHECKED)
def test_a_ready_made_check_says_what_it_found(check, value, passes, says):
    evaluation = evaluated(check, value)

    assert evaluation.passed is passes
    assert says in evaluation.description
    assert (evaluation.check, evaluation.severity) == (check.name, "blocking")


@pytest.mark.parametrize(
    ("samples", "overs"),
    [
        ([1, 1, 0.5, 1, 1], 0),
        ([1, 1, 1], 1),
        ([1, -1, 1, -1], 1),
        ([1, 1, 1, 0, 1, 1, 1, 1], 2),
        ([0, 1 - 2**-15, 1, 1, 0], 1),
        ([1, 1], 0),
    ],
)
def test_an_over_is_three_samples_at_full_scale_in_a_row(samples, overs):
    assert (
        count_overs(AudioClip(np.array([samples, [0.0] * len(samples)], np.float32), RATE)) == overs
    )


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: not_silent(math.nan), id="nan"),
        pytest.param(lambda: not_clipped(-1), id="negative"),
        pytest.param(lambda: duration_between(2, 1), id="crossed"),
        pytest.param(lambda: duration_between(-1), id="negative time"),
        pytest.param(lambda: no_dc_offset(math.inf), id="infinite"),
        pytest.param(lambda: no_nan(severity="loud"), id="severity"),
    ],
)
def test_a_threshold_out_of_range_is_refused_when_written(make):
    with pytest.raises(ConfigError):
        make()
