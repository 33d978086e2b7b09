import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.features import (
    mel_and_mfcc,
    mel_spectrogram,
    mfcc,
    mfcc_of_mel,
    power_to_db,
)
from klio_dagster.audio.mel import mel_filters
from klio_dagster.audio.read import read_audio
from klio_dagster.audio.spectra import Grid, hann, power_spectrum
from klio_dagster.errors import ConfigError, EntityError
from tests.audio.sounds import RATE, TRACKS, clips, noisy_tone

# What the float32 mode promises (features.py).
MEL_ERROR = 1e-6
ANY_MEL_ERROR = 2e-5  # impulses at a frame's edge; 6e-6 is the most that was seen
MFCC_ERROR = 5e-3

SOUNDS = [
    pytest.param(noisy_tone(2.0, channels=1), id="mono"),
    pytest.param(noisy_tone(2.0, channels=2), id="stereo"),
    pytest.param(noisy_tone(0.5, channels=8, rate=192_000), id="8 channels, 192 kHz"),
    pytest.param(noisy_tone(0.02, channels=1), id="20 ms"),
    pytest.param(noisy_tone(1 / RATE, channels=1), id="one sample"),
    pytest.param(AudioClip(np.zeros(RATE, np.float32), RATE), id="silence"),
]


def _librosas(clip: AudioClip, **options: int) -> tuple[np.ndarray, np.ndarray]:
    """Mel and MFCC as librosa computes them, a call each."""
    import librosa

    y = clip.samples[0] if clip.channels == 1 else clip.samples
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shorter than a frame, more bands than frequencies
        return (
            librosa.feature.melspectrogram(y=y, sr=clip.sample_rate, **options),
            librosa.feature.mfcc(y=y, sr=clip.sample_rate, **options),
        )


def _error(mel: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(mel - exact).max() / max(exact.max(), 1e-30))


def test_there_are_real_recordings_to_compare_with():
    assert len(TRACKS) >= 10


@pytest.mark.parametrize("track", TRACKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("mixed", [True, False], ids=["mono mix", "as it is"])
def test_real_recordings_give_librosas_bits(track, mixed):
    clip = read_audio(track, where=track.name)
    clip = clip.mono() if mixed else clip
    mel, coefficients = _librosas(clip)

    ours = mel_and_mfcc(clip)

    assert np.array_equal(ours.mel, mel)
    assert np.array_equal(ours.mfcc, coefficients)


@pytest.mark.parametrize("clip", SOUNDS)
def test_unusual_clips_give_librosas_bits(clip):
    mel, coefficients = _librosas(clip)

    assert np.array_equal(mel_spectrogram(clip), mel)
    assert np.array_equal(mfcc(clip), coefficients)


@pytest.mark.parametrize(
    "options",
    [
        {"n_mels": 20},
        {"n_mels": 64, "n_fft": 1024, "hop_length": 160},
        {"n_mels": 40, "n_fft": 400, "hop_length": 160},
        {"n_mels": 40, "n_fft": 1023, "hop_length": 100},
        {"n_mels": 256, "n_fft": 512, "hop_length": 2048},
    ],
    ids=str,
)
def test_other_grids_give_librosas_bits(options):
    clip = noisy_tone(1.0, channels=1)
    mel, coefficients = _librosas(clip, **options)

    ours = mel_and_mfcc(clip, **options)

    assert np.array_equal(ours.mel, mel)
    assert np.array_equal(ours.mfcc, coefficients)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_power_spectrum_has_librosas_bits(channels):
    import librosa

    clip = noisy_tone(1.0, channels=channels)

    power = power_spectrum(clip).power

    assert np.array_equal(power, np.abs(librosa.stft(clip.samples)) ** 2)


@pytest.mark.parametrize("rate", [8_000, 22_050, RATE, 192_000])
@pytest.mark.parametrize("n_fft", [512, 1023, 2048])
@pytest.mark.parametrize("n_mels", [1, 20, 128, 300])
def test_the_filter_bank_has_librosas_bits(rate, n_fft, n_mels):
    import librosa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels)

    assert np.array_equal(mel_filters(rate, n_fft, n_mels), theirs)


@pytest.mark.parametrize("length", [2, 3, 400, 1023, 2048])
def test_the_window_has_scipys_bits(length):
    from scipy.signal import get_window

    assert np.array_equal(hann(length, np.float64), get_window("hann", length))


@given(clips)
def test_levels_have_librosas_bits(clip):
    import librosa

    power = np.square(clip.samples)

    assert np.array_equal(power_to_db(power), librosa.power_to_db(power))


@pytest.mark.parametrize("track", TRACKS, ids=lambda path: path.stem)
def test_float32_stays_within_the_error_it_promises_on_recordings(track):
    clip = read_audio(track, where=track.name)
    exact = mel_and_mfcc(clip)

    fast = mel_and_mfcc(clip, precision="float32")

    assert _error(fast.mel, exact.mel) <= MEL_ERROR
    assert np.abs(fast.mfcc - exact.mfcc).max() <= MFCC_ERROR


@pytest.mark.parametrize("clip", SOUNDS)
def test_float32_stays_within_the_error_it_promises_on_unusual_clips(clip):
    exact = mel_and_mfcc(clip)

    fast = mel_and_mfcc(clip, precision="float32")

    assert fast.mel.dtype == np.float32
    assert fast.mel.shape == exact.mel.shape
    assert _error(fast.mel, exact.mel) <= MEL_ERROR
    assert np.abs(fast.mfcc - exact.mfcc).max() <= MFCC_ERROR


@given(
    clip=clips,
    n_fft=st.integers(2, 512),
    hop_length=st.integers(1, 300),
    n_mels=st.integers(1, 64),
)
@settings(max_examples=60)
def test_both_precisions_see_the_same_sound_on_any_grid(clip, n_fft, hop_length, n_mels):
    grid = {"n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels}

    exact = mel_spectrogram(clip, **grid)
    fast = mel_spectrogram(clip, precision="float32", **grid)

    assert exact.shape == fast.shape
    assert exact.shape[-1] == Grid(n_fft=n_fft, hop_length=hop_length).frames(clip.frames)
    assert _error(fast, exact) <= ANY_MEL_ERROR


def test_mfcc_of_the_stored_mel_is_mfcc_of_the_clip():
    clip = noisy_tone(1.0)

    assert np.array_equal(mfcc_of_mel(mel_spectrogram(clip), n_mfcc=13), mfcc(clip, n_mfcc=13))


def test_two_calls_share_no_memory():
    clip = noisy_tone(0.5, channels=1)

    one, other = mel_spectrogram(clip), mel_spectrogram(clip)
    one[:] = -1

    assert other.min() >= 0
    assert np.array_equal(mel_spectrogram(clip), other)


def test_nobody_can_change_the_filters_others_use():
    with pytest.raises(ValueError, match="read-only"):
        mel_filters(RATE, 2048, 128)[0, 0] = 1


def test_computing_features_loads_neither_librosa_nor_numba():
    code = (
        "import sys\n"
        "from klio_dagster.audio.features import mel_and_mfcc\n"
        "from tests.audio.sounds import noisy_tone\n"
        "mel_and_mfcc(noisy_tone(0.1))\n"
        "print([name for name in ('librosa', 'numba', 'scipy.signal') if name in sys.modules])\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_fft": 1}, "n_fft is 1"),
        ({"hop_length": 0}, "hop_length is 0"),
        ({"n_mels": 0}, "n_mels is 0"),
        ({"n_mfcc": 129}, "n_mfcc is 129"),
        ({"n_mfcc": 0}, "n_mfcc is 0"),
        ({"precision": "float16"}, "float16"),
    ],
    ids=str,
)
@pytest.mark.parametrize("precision", ["librosa", "float32"])
def test_numbers_out_of_range_are_refused(options, said, precision):
    with pytest.raises(ConfigError, match=said):
        mel_and_mfcc(noisy_tone(0.1), **{"precision": precision, **options})


@pytest.mark.parametrize("precision", ["librosa", "float32"])
def test_an_empty_clip_is_refused(precision):
    with pytest.raises(EntityError, match="no samples"):
        mel_spectrogram(AudioClip(np.zeros((1, 0), np.float32), RATE), precision=precision)
