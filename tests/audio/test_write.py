import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.read import read_audio
from klio_dagster.audio.write import encode
from klio_dagster.errors import ConfigError, EntityError
from tests.audio.sounds import RATE, clips, decoded, noisy_tone

OPTIONS = [
    pytest.param("flac", 16, id="FLAC 16 bit"),
    pytest.param("flac", 24, id="FLAC 24 bit"),
    pytest.param("wav", 16, id="WAV 16 bit"),
    pytest.param("wav", 24, id="WAV 24 bit"),
    pytest.param("ogg", 16, id="Vorbis"),
]


@pytest.mark.parametrize(("container", "bit_depth"), OPTIONS)
@given(clip=clips)
@settings(max_examples=40)
def test_the_canonical_clip_is_bit_for_bit_what_decoding_gives(container, bit_depth, clip):
    encoded = encode(clip, format=container, bit_depth=bit_depth)

    read = read_audio(encoded.data, where=f"a.{container}")

    assert encoded.clip.samples.tobytes() == read.samples.tobytes()
    assert encoded.clip.sample_rate == read.sample_rate
    assert encoded.clip.source == read.source


@pytest.mark.parametrize(("container", "bit_depth"), OPTIONS[:4])
@given(clip=clips)
@settings(max_examples=40)
def test_writing_again_what_was_read_changes_nothing(container, bit_depth, clip):
    once = encode(clip, format=container, bit_depth=bit_depth)

    twice = encode(once.clip, format=container, bit_depth=bit_depth)

    assert twice.data == once.data
    assert twice.clipped_samples == 0


@pytest.mark.parametrize(("container", "bit_depth"), OPTIONS)
def test_another_process_writes_the_same_bytes(container, bit_depth):
    code = (
        "import hashlib, sys\n"
        "from klio_dagster.audio.write import encode\n"
        "from tests.audio.sounds import noisy_tone\n"
        "encoded = encode(noisy_tone(0.5), format=sys.argv[1], bit_depth=int(sys.argv[2]))\n"
        "print(hashlib.sha256(encoded.data).hexdigest())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, container, str(bit_depth)],
        capture_output=True,
        text=True,
        check=True,
    )

    here = encode(noisy_tone(0.5), format=container, bit_depth=bit_depth)
    assert done.stdout.strip() == hashlib.sha256(here.data).hexdigest()


@pytest.mark.parametrize("bit_depth", [16, 24])
@given(value=st.floats(-0.875, 0.875, width=32))
def test_a_sample_moves_by_half_a_step_at_most(bit_depth, value):
    clip = AudioClip(np.array([value], np.float32), RATE)

    written = encode(clip, format="wav", bit_depth=bit_depth).clip

    assert abs(float(written.samples[0, 0]) - value) <= 0.5 / 2 ** (bit_depth - 1)


def test_samples_beyond_full_scale_are_cut_off_and_counted():
    clip = AudioClip(np.array([[1.5, -1.5, 1.0, -1.0], [0.5, 1.001, 0.0, 0.9]], np.float32), RATE)

    encoded = encode(clip, format="flac", bit_depth=16)

    assert encoded.clipped_samples == 3
    assert decoded(encoded.data)[0].tolist() == [32767 / 32768, -1.0, 32767 / 32768, -1.0]


def test_vorbis_cuts_nothing_off():
    loud = noisy_tone(0.5).with_samples(noisy_tone(0.5).samples * np.float32(4))

    encoded = encode(loud, format="ogg")

    assert encoded.clipped_samples == 0
    assert encoded.clip.peak > 1.0


def test_a_long_vorbis_is_written_without_ending_the_process():
    clip = AudioClip(np.zeros((2, 30 * RATE), np.float32), RATE)

    assert encode(clip, format="ogg").clip.frames == clip.frames


@pytest.mark.parametrize(
    ("container", "channels", "rate"),
    [
        pytest.param("flac", 9, RATE, id="FLAC, 9 channels"),
        pytest.param("flac", 1, 700_000, id="FLAC, 700 kHz"),
        pytest.param("flac", 1, 200_001, id="FLAC, a rate its frames cannot name"),
        pytest.param("ogg", 256, RATE, id="Vorbis, 256 channels"),
        pytest.param("ogg", 1, 200_001, id="Vorbis, over 200 kHz"),
        pytest.param("wav", 1025, RATE, id="WAV, 1,025 channels"),
        pytest.param("wav", 1, 2**40, id="WAV, a rate of 41 bits"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(container, channels, rate):
    clip = AudioClip(np.zeros((channels, 100), np.float32), rate)

    with pytest.raises(EntityError, match=f"cannot hold {channels} channels at {rate} Hz"):
        encode(clip, format=container)


@pytest.mark.parametrize("container", ["flac", "wav", "ogg"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_not_written(container, bad):
    clip = AudioClip(np.array([0.0, bad, bad], np.float32), RATE)

    with pytest.raises(EntityError, match="2 of 3 samples are not finite"):
        encode(clip, format=container)


@pytest.mark.parametrize("container", ["flac", "wav", "ogg"])
def test_a_clip_without_samples_is_not_written(container):
    with pytest.raises(EntityError, match="no samples"):
        encode(AudioClip(np.zeros((2, 0), np.float32), RATE), format=container)


@pytest.mark.parametrize(
    "options", [{"format": "mp3"}, {"format": "flac", "bit_depth": 20}], ids=["format", "depth"]
)
def test_unknown_options_are_refused(options):
    with pytest.raises(ConfigError, match=r"mp3|20"):
        encode(noisy_tone(0.1), **options)
