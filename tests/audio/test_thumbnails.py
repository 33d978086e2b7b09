import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.features import mel_spectrogram
from klio_dagster.audio.read import read_audio
from klio_dagster.audio.thumbnails import LARGEST_PNG_BYTES, heatmap_png, waveform_png
from klio_dagster.errors import ConfigError
from tests.audio.sounds import RATE, TRACKS, clips, noisy_tone

matrices = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int16, np.bool_]),
    st.tuples(st.integers(1, 90), st.integers(1, 200)),
)
NOISE = np.random.default_rng(5)


def _image(png: bytes) -> np.ndarray:
    """The picture, red, green, blue and opacity from 0.0 to 1.0, as a real decoder sees it."""
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGBA"), np.float32) / 255


def _brightness(png: bytes) -> np.ndarray:
    return _image(png)[..., :3].sum(axis=2)


def _inked(png: bytes) -> np.ndarray:
    """How many pixels of each column are not background."""
    return (_image(png)[..., 3] > 0).sum(axis=0)


def _chunks(png: bytes) -> list[bytes]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    names, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        names.append(body[:4])
        at += 12 + length
    return names


def test_the_pictures_are_valid_png():
    clip = noisy_tone()

    assert _chunks(waveform_png(clip)) == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    assert _chunks(heatmap_png(mel_spectrogram(clip.mono()))) == [
        b"IHDR", b"PLTE", b"IDAT", b"IEND",
    ]  # fmt: skip
    assert _image(waveform_png(clip)).shape == (48, 240, 4)
    assert _image(heatmap_png(np.ones((3, 2)))).shape[:2] == (40, 128)


@given(clips)
def test_no_waveform_is_larger_than_the_ui_shows(clip):
    assert len(waveform_png(clip)) <= LARGEST_PNG_BYTES


@given(matrices, st.sampled_from(["auto", "linear", "db"]))
@settings(max_examples=200)
def test_no_heatmap_is_larger_than_the_ui_shows(values, scale):
    assert len(heatmap_png(values, scale=scale)) <= LARGEST_PNG_BYTES


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(NOISE.random((128, 690)), id="even"),
        pytest.param(NOISE.random((20, 64)), id="even, no averaging"),
        pytest.param(NOISE.normal(size=(20, 64)), id="normal"),
        pytest.param(10 ** NOISE.uniform(-6, 0, (20, 64)), id="even in dB"),
    ],
)
def test_noise_is_made_to_fit(values):
    assert len(heatmap_png(values)) <= LARGEST_PNG_BYTES


@pytest.mark.parametrize("track", TRACKS, ids=lambda path: path.stem)
def test_real_recordings_fit_and_do_not_look_alike(track):
    clip = read_audio(track, where=track.name)

    wave, heat = waveform_png(clip), heatmap_png(mel_spectrogram(clip.mono()))

    assert max(len(wave), len(heat)) <= LARGEST_PNG_BYTES
    assert len(np.unique(_inked(wave))) > 3
    assert len(np.unique(_brightness(heat))) > 3


def test_bars_are_as_high_as_the_clip_is_loud():
    samples = np.concatenate([np.full(600, level, np.float32) for level in (0.0, 0.25, 0.5, 1.0)])
    samples[::2] *= -1

    inked = _inked(waveform_png(AudioClip(samples, RATE)))

    assert [int(inked[quarter * 60 + 30]) for quarter in range(4)] == [2, 12, 24, 48]


def test_a_click_shorter_than_a_bar_is_seen():
    samples = np.zeros(RATE, np.float32)
    samples[12_345] = -1.0

    assert _inked(waveform_png(AudioClip(samples, RATE))).max() == 48


@pytest.mark.parametrize("frames", [0, 1, 2, 59, 60, 61, 959, 961])
def test_the_shortest_clips_have_a_waveform(frames):
    clip = AudioClip(np.full((2, frames), 0.5, np.float32), RATE)

    inked = _inked(waveform_png(clip))

    assert set(inked[inked > 0].tolist()) == ({24} if frames else {2})


def test_a_clip_beyond_full_scale_fills_the_picture():
    assert _inked(waveform_png(AudioClip(np.full(99, 7, np.float32), RATE))).max() == 48


def test_low_frequencies_are_at_the_bottom_and_time_goes_right():
    values = np.zeros((128, 690))
    values[:30, :300] = 1.0

    bright = _brightness(heatmap_png(values))

    assert bright[-1, 0] == bright.max()
    assert bright[0, 0] == bright[-1, -1] == bright[0, -1] == bright.min()


def test_power_is_shown_in_decibels_and_signed_numbers_as_they_are():
    power = np.array([[1e-4, 1.0]])

    in_db, linear = _brightness(heatmap_png(power)), _brightness(heatmap_png(power, scale="linear"))
    signed = _brightness(heatmap_png(np.array([[-1.0, 0.0, 1.0]])))

    assert len(np.unique(in_db)) == 2
    assert in_db[0, 0] == linear[0, 0]  # each picture's lowest
    assert len(np.unique(signed)) == 3


def test_what_lies_60_db_below_the_maximum_is_as_dark_as_nothing():
    bright = _brightness(heatmap_png(np.array([[0.0, 1e-7, 1e-5, 1.0]])))[0]

    assert bright[0] == bright[40]
    assert bright[40] < bright[70] < bright[-1]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.zeros((128, 690)), id="zeros"),
        pytest.param(np.full((4, 4), -3.5), id="constant"),
        pytest.param(np.full((4, 4), np.nan), id="nothing but NaN"),
        pytest.param(np.ones((1, 1), np.float32), id="one number"),
        pytest.param(np.zeros((4, 4), bool), id="truth values"),
        pytest.param(np.array([[-1e308, 1e308]]), id="a span beyond float64"),
    ],
)
def test_what_has_no_contrast_is_one_colour(values):
    assert len(np.unique(_brightness(heatmap_png(values)))) == 1


def test_numbers_that_are_not_finite_are_drawn_as_the_lowest():
    bright = _brightness(heatmap_png(np.array([[0.0, np.nan, -np.inf, np.inf, 1.0, -1.0]])))[0]

    assert bright[30] == bright[50] == bright[70] == bright[-1] == bright.min()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.zeros(5), id="a row"),
        pytest.param(np.zeros((2, 3, 4)), id="three dimensions"),
        pytest.param(np.zeros((0, 4)), id="nothing"),
        pytest.param(np.zeros((2, 2), complex), id="complex numbers"),
        pytest.param(np.array([["a", "b"]]), id="text"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(values):
    with pytest.raises(ConfigError, match="heatmap: shape"):
        heatmap_png(values)


def test_an_unknown_scale_is_refused():
    with pytest.raises(ConfigError, match="loudness"):
        heatmap_png(np.ones((2, 2)), scale="loudness")


def test_equal_sounds_have_equal_pictures():
    assert waveform_png(noisy_tone()) == waveform_png(noisy_tone())
    assert heatmap_png(np.ones((5, 5))) == heatmap_png(np.ones((5, 5)))
