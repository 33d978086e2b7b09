import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from klio_dagster.audio.clip import AudioClip, SourceInfo
from klio_dagster.codecs.audio import Audio
from klio_dagster.errors import ConfigError, EntityError

LOSSLESS = [Audio("flac"), Audio("wav"), Audio("flac", bit_depth=24), Audio("wav", bit_depth=24)]
FORMATS = [*LOSSLESS, Audio("ogg")]
SAMPLES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 2), st.integers(1, 60)),
    elements=st.floats(-1.5, 1.5, width=32),
)
CLIPS = st.builds(AudioClip, SAMPLES, st.sampled_from([8000, 22050, 44100, 48000]))
TONE = AudioClip(
    (0.5 * np.sin(np.arange(4410) / 7, dtype=np.float32))[np.newaxis].repeat(2, 0), 44100
)


def _name(codec: Audio) -> str:
    return f"{codec.format} {codec.bit_depth or ''}".strip()


@pytest.mark.parametrize("codec", FORMATS, ids=_name)
@settings(deadline=None, max_examples=40)
@given(clip=CLIPS)
def test_a_consumer_gets_the_same_clip_now_and_from_the_store(codec, clip):
    dumped = codec.dump(clip)

    loaded = codec.load(dumped.data, f"recording/a{codec.suffix}")

    assert loaded == dumped.value
    assert loaded.samples.tobytes() == dumped.value.samples.tobytes()  # also the sign of zero
    assert loaded.source == dumped.value.source


@pytest.mark.parametrize("codec", LOSSLESS, ids=_name)
@settings(deadline=None, max_examples=40)
@given(clip=CLIPS)
def test_storing_what_was_loaded_gives_the_same_bytes(codec, clip):
    data = codec.dump(clip).data

    again = codec.dump(codec.load(data, f"recording/a{codec.suffix}")).data

    assert again == data


@pytest.mark.parametrize("codec", FORMATS, ids=_name)
def test_equal_clips_give_equal_bytes(codec):
    assert codec.dump(TONE).data == codec.dump(AudioClip(TONE.samples.copy(), 44100)).data


@pytest.mark.parametrize(
    "source,codec,subtype",
    [
        pytest.param(None, Audio(), "PCM_16", id="computed"),
        pytest.param(SourceInfo("FLAC", "PCM_16", 16), Audio(), "PCM_16", id="16 bit"),
        pytest.param(SourceInfo("WAV", "PCM_24", 24), Audio(), "PCM_24", id="24 bit"),
        pytest.param(SourceInfo("WAV", "FLOAT", 32), Audio(), "PCM_24", id="float"),
        pytest.param(SourceInfo("MP3", "MPEG_LAYER_III", None), Audio(), "PCM_16", id="lossy"),
        pytest.param(
            SourceInfo("WAV", "PCM_24", 24), Audio(bit_depth=16), "PCM_16", id="16 bit asked for"
        ),
    ],
)
def test_a_recording_keeps_its_bit_depth_unless_one_is_asked_for(source, codec, subtype, tmp_path):
    file = tmp_path / "a.flac"
    file.write_bytes(codec.dump(AudioClip(TONE.samples, 44100, source)).data)

    assert soundfile.info(file).subtype == subtype


def test_the_ui_shows_length_rate_channels_peak_and_what_was_clipped():
    samples = np.zeros((2, 8820), np.float32)
    samples[1, :3] = (1.5, -2.0, 0.5)

    dumped = Audio().dump(AudioClip(samples, 44100))

    assert dumped.metadata == {
        "duration_s": 0.2,
        "sample_rate_hz": 44100,
        "channels": 2,
        "peak": 1.0,
        "clipped_samples": 2,
    }
    assert dumped.figures["waveform"].startswith(b"\x89PNG")
    assert len(dumped.figures["waveform"]) <= 700


@pytest.mark.parametrize("codec", FORMATS, ids=_name)
@pytest.mark.parametrize("frames", [1, 882, 88200], ids=["1 sample", "20 ms", "2 s"])
def test_silence_of_any_length_is_stored(codec, frames):
    silence = AudioClip(np.zeros((1, frames), np.float32), 44100)

    loaded = codec.load(codec.dump(silence).data, f"recording/a{codec.suffix}")

    assert loaded.frames == frames
    assert loaded.peak < 1e-4


@pytest.mark.parametrize(
    "value,says",
    [
        pytest.param(None, "the transform returned None, not an AudioClip", id="forgotten return"),
        pytest.param(TONE.samples, "returned numpy.ndarray, not an AudioClip", id="bare samples"),
        pytest.param(AudioClip(np.zeros((1, 0), np.float32), 44100), "no samples", id="empty"),
        pytest.param(AudioClip(np.full((1, 9), np.nan, np.float32), 44100), "finite", id="nan"),
    ],
)
def test_what_is_no_clip_with_sound_is_refused_in_one_line(value, says):
    with pytest.raises(EntityError) as caught:
        Audio().dump(value)

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(Audio().dump(TONE).data[:-200], id="truncated"),
    ],
)
def test_stored_bytes_that_are_no_audio_are_one_clear_error(data):
    with pytest.raises(EntityError, match=r"^recording/a.flac: ") as caught:
        Audio().load(data, "recording/a.flac")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong,says",
    [
        pytest.param(lambda: Audio("mp3"), "no format 'mp3'; use one of flac, wav, ogg", id="mp3"),
        pytest.param(lambda: Audio(bit_depth=8), "bit_depth is 8; use 16 or 24", id="8 bit"),
        pytest.param(lambda: Audio("ogg", bit_depth=16), "ogg has no bit depth", id="ogg"),
    ],
)
def test_a_format_we_cannot_write_is_refused_when_defined(wrong, says):
    with pytest.raises(ConfigError, match=says):
        wrong()


def test_a_clip_tells_its_loudness_and_silence_has_none():
    second = np.sin(np.arange(44_100) / 7).astype(np.float32)

    assert Audio().dump(AudioClip(second, 44_100)).metadata["loudness_lufs"] == -2.99
    assert "loudness_lufs" not in Audio().dump(AudioClip(0 * second, 44_100)).metadata
