import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.audio.clip import AudioClip, SourceInfo
from klio_dagster.errors import ConfigError
from tests.audio.sounds import RATE, clips, noisy_tone


def test_a_mono_array_becomes_one_channel():
    clip = AudioClip(np.zeros(RATE, np.float64), RATE)

    assert clip.samples.shape == (1, RATE)
    assert clip.samples.dtype == np.float32
    assert clip.duration_s == 1.0


def test_a_transform_cannot_change_what_the_next_one_sees():
    clip = noisy_tone()

    with pytest.raises(ValueError, match="read-only"):
        clip.samples[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        pickle.loads(pickle.dumps(clip)).samples[0, 0] = 1.0


def test_a_long_clip_is_not_copied():
    samples = np.zeros((2, RATE), np.float32)

    clip = AudioClip(samples, RATE)

    assert np.shares_memory(clip.samples, samples)


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        pytest.param(np.zeros(4, np.int16), RATE, "int16", id="integers"),
        pytest.param(np.zeros(4, np.complex64), RATE, "complex64", id="complex numbers"),
        pytest.param([0.0, 0.1], RATE, "list", id="a list"),
        pytest.param(np.zeros((1, 2, 3), np.float32), RATE, "(1, 2, 3)", id="three dimensions"),
        pytest.param(np.zeros((0, 3), np.float32), RATE, "(0, 3)", id="no channel"),
        pytest.param(np.zeros(4, np.float32), 0, "sample_rate is 0", id="rate of zero"),
        pytest.param(np.zeros(4, np.float32), 44.1, "44.1", id="rate in kHz"),
    ],
)
def test_what_is_no_clip_is_refused_in_one_line(samples, rate, said):
    with pytest.raises(ConfigError) as refused:
        AudioClip(samples, rate)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_clips_are_equal_if_they_sound_the_same():
    clip = noisy_tone()
    flac = AudioClip(clip.samples.copy(), RATE, SourceInfo("FLAC", "PCM_24", 24))

    assert flac == clip
    assert hash(flac) == hash(clip)
    assert AudioClip(clip.samples, 48_000) != clip
    assert clip.with_samples(clip.samples * np.float32(0.5)) != clip


@pytest.mark.parametrize(
    ("samples", "peak"),
    [
        pytest.param([], 0.0, id="empty"),
        pytest.param([0.0, -0.0], 0.0, id="silence"),
        pytest.param([-0.75, 0.5], 0.75, id="negative"),
        pytest.param([0.25, 0.5], 0.5, id="only positive"),
        pytest.param([-0.25, -0.5], 0.5, id="only negative"),
    ],
)
def test_the_peak_is_the_largest_absolute_sample(samples, peak):
    assert AudioClip(np.array(samples, np.float32), RATE).peak == peak


def test_mono_is_what_librosa_makes_of_it():
    import librosa

    clip = noisy_tone(channels=3)

    assert np.array_equal(clip.mono().samples[0], librosa.to_mono(clip.samples))


def test_a_mono_clip_is_its_own_mono_mix():
    clip = noisy_tone(channels=1)

    assert clip.mono() is clip


def test_a_segment_holds_the_frames_of_its_time():
    clip = noisy_tone(seconds=1.0)

    part = clip.segment(0.25, 0.5)

    assert np.array_equal(part.samples, clip.samples[:, 11_025:33_075])
    assert part.samples.flags.c_contiguous


def test_a_segment_ends_where_the_clip_ends():
    clip = noisy_tone(seconds=1.0)

    assert clip.segment(0.75, 9.0).duration_s == 0.25
    assert clip.segment(0.75) == clip.segment(0.75, 9.0)
    assert clip.segment(2.0).frames == 0


@pytest.mark.parametrize("start_s", [-1.0, float("nan"), float("inf")])
def test_a_segment_that_starts_nowhere_is_refused(start_s):
    with pytest.raises(ConfigError, match="start_s"):
        noisy_tone().segment(start_s, 1.0)


@given(clips, st.floats(0, 1))
def test_two_neighbouring_segments_make_the_whole(clip, share):
    cut_s = share * clip.duration_s

    parts = [clip.segment(0, cut_s).samples, clip.segment(cut_s).samples]

    assert np.array_equal(np.concatenate(parts, axis=1), clip.samples)
