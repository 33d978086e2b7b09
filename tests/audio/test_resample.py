import numpy as np
import pytest

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.resample import resample, to_mono, to_stereo
from klio_dagster.errors import ConfigError, EntityError
from tests.audio.sounds import RATE, noisy_tone


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_another_rate_keeps_channels_and_duration(rate, channels):
    clip = noisy_tone(1.0, channels=channels)

    other = resample(clip, rate)

    assert (other.channels, other.sample_rate) == (channels, rate)
    assert other.frames == pytest.approx(rate, abs=1)


def test_resampling_is_librosas():
    import librosa

    clip = noisy_tone(1.0)

    other = resample(clip, 22_050).samples

    assert np.array_equal(other, librosa.resample(clip.samples, orig_sr=RATE, target_sr=22_050))


def test_a_tone_stays_the_same_tone():
    time_s = np.arange(RATE) / RATE
    clip = AudioClip(np.sin(2 * np.pi * 1000 * time_s).astype(np.float32), RATE)

    spectrum = np.abs(np.fft.rfft(resample(clip, 16_000).samples[0]))

    assert int(spectrum.argmax()) == 1000


def test_the_same_rate_gives_the_same_clip():
    clip = noisy_tone(0.1)

    assert resample(clip, RATE) is clip


@pytest.mark.parametrize("frames", [1, 10])
def test_the_shortest_clips_can_be_resampled(frames):
    clip = AudioClip(np.zeros((1, frames), np.float32), RATE)

    assert resample(clip, 8_000).frames <= frames


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ConfigError, match="sample_rate"):
        resample(noisy_tone(0.1), rate)


def test_mono_becomes_stereo_and_mono_again():
    mono = noisy_tone(0.1, channels=1)

    stereo = to_stereo(mono)

    assert stereo.channels == 2
    assert to_mono(stereo) == mono
    assert to_stereo(stereo) is stereo


def test_five_channels_are_not_stereo():
    with pytest.raises(EntityError, match="5 channels"):
        to_stereo(noisy_tone(0.1, channels=5))
