import io
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from klio_dagster.audio.clip import SourceInfo
from klio_dagster.audio.read import read_audio
from klio_dagster.errors import EntityError
from tests.audio.sounds import RATE, decoded, file_of, noisy_tone

CLIP = noisy_tone(seconds=3.0)
OPUS_CLIP = noisy_tone(seconds=3.0, rate=48_000)
KINDS = [
    pytest.param("WAV", "PCM_16", 16, id="WAV 16 bit"),
    pytest.param("WAV", "PCM_24", 24, id="WAV 24 bit"),
    pytest.param("WAV", "FLOAT", 32, id="WAV float"),
    pytest.param("RF64", "PCM_16", 16, id="RF64"),
    pytest.param("FLAC", "PCM_16", 16, id="FLAC 16 bit"),
    pytest.param("FLAC", "PCM_24", 24, id="FLAC 24 bit"),
    pytest.param("OGG", "VORBIS", None, id="Vorbis"),
    pytest.param("OGG", "OPUS", None, id="Opus"),
    pytest.param("MP3", "MPEG_LAYER_III", None, id="MP3"),
]


def _file(container: str, subtype: str | None = None) -> bytes:
    return file_of(OPUS_CLIP if subtype == "OPUS" else CLIP, container, subtype)


def _refusal(data: object, **options: object) -> str:
    with pytest.raises(EntityError) as refused:
        read_audio(data, where="tracks/a", **options)
    line = str(refused.value)
    assert line.startswith("tracks/a: ")
    assert "\n" not in line
    assert "0x" not in line  # no Python object
    return line


@pytest.mark.parametrize(("container", "subtype", "bit_depth"), KINDS)
def test_every_kind_is_decoded_as_libsndfile_decodes_it(container, subtype, bit_depth):
    data = _file(container, subtype)

    clip = read_audio(data, where="tracks/a")

    assert np.array_equal(clip.samples, decoded(data))
    assert clip.source == SourceInfo(container, subtype, bit_depth)


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_24_bits_are_kept_exactly(container):
    integers = np.random.default_rng(1).integers(-(2**23), 2**23, 5_000)
    clip = CLIP.with_samples((integers / 2**23).astype(np.float32))

    read = read_audio(file_of(clip, container, "PCM_24"), where="tracks/a")

    assert np.array_equal(read.samples[0] * 2**23, integers)


@pytest.mark.parametrize("given", ["bytes", "stream", "path", "text"])
def test_bytes_streams_and_paths_give_the_same_clip(given, tmp_path):
    data = _file("FLAC")
    path = tmp_path / "a.flac"
    path.write_bytes(data)
    inputs = {"bytes": data, "stream": io.BytesIO(data), "path": path, "text": str(path)}

    clip = read_audio(inputs[given], where="a.flac")

    assert np.array_equal(clip.samples, decoded(data))


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS")],
    ids=["WAV", "FLAC", "Vorbis"],
)
@given(start_s=st.floats(0, 2.9), duration_s=st.floats(0.001, 4))
@settings(max_examples=25)
def test_a_segment_is_the_same_part_of_the_whole(container, subtype, start_s, duration_s):
    data = _file(container, subtype)

    part = read_audio(data, where="tracks/a", start_s=start_s, duration_s=duration_s)

    assert part == read_audio(data, where="tracks/a").segment(start_s, duration_s)


def test_a_segment_reads_only_its_part_of_the_file():
    class Counted(io.BytesIO):
        taken = 0

        def readinto(self, buffer):
            got = super().readinto(buffer)
            self.taken += got
            return got

        def read(self, size=-1):
            data = super().read(size)
            self.taken += len(data)
            return data

    stream = Counted(file_of(noisy_tone(seconds=60.0), "WAV"))

    clip = read_audio(stream, where="tracks/a", start_s=30.0, duration_s=1.0)

    assert clip.duration_s == 1.0
    assert stream.taken < len(stream.getvalue()) / 10


@pytest.mark.parametrize(
    "clip",
    [
        pytest.param(noisy_tone(0.02), id="20 ms"),
        pytest.param(noisy_tone(1 / RATE), id="one frame"),
        pytest.param(CLIP.with_samples(np.zeros((2, RATE), np.float32)), id="silence"),
        pytest.param(noisy_tone(0.5, rate=192_000), id="192 kHz"),
        pytest.param(noisy_tone(0.5, channels=8), id="8 channels"),
    ],
)
@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG"])
def test_unusual_recordings_are_read(clip, container):
    read = read_audio(file_of(clip, container), where="tracks/a")

    assert (read.channels, read.frames, read.sample_rate) == (
        clip.channels,
        clip.frames,
        clip.sample_rate,
    )


@pytest.mark.parametrize("container", ["WAV", "RF64", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_not_shortened(container, share):
    data = _file(container)

    _refusal(data[: int(len(data) * share)])


@pytest.mark.parametrize("container", ["WAV", "OGG"])
def test_a_segment_of_a_truncated_file_is_refused_too(container):
    data = _file(container)

    _refusal(data[: len(data) * 9 // 10], start_s=0.5, duration_s=0.5)


@pytest.mark.parametrize("container", ["FLAC", "OGG"])
@pytest.mark.parametrize("at", [0.3, 0.5, 0.8])
def test_a_hole_in_a_file_is_found(container, at):
    data = bytearray(_file(container))
    middle = int(len(data) * at)
    data[middle : middle + 100] = bytes(100)

    assert "damaged" in _refusal(bytes(data))


def test_a_hole_inside_a_segment_is_found():
    data = bytearray(_file("OGG"))
    middle = len(data) // 2
    data[middle : middle + 100] = bytes(100)

    assert "damaged" in _refusal(bytes(data), start_s=0.5, duration_s=2.0)


def test_a_file_whose_page_is_missing_is_refused():
    data = _file("OGG")
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"OggS"]

    refusal = _refusal(data[: starts[3]] + data[starts[4] :])

    assert "a page is missing" in refusal


def _mp3_without_length(bitrate_mode: str, rate: int) -> bytes:
    """An MP3 as many old encoders wrote it: without the first frame, which states the length."""
    stream = io.BytesIO()
    # Fading noise: at a varying bit rate the first frame has the highest, and the guess is short.
    sound = np.random.default_rng(2).normal(0, 0.2, 3 * RATE) * np.linspace(1, 0, 3 * RATE) ** 4
    options = {"compression_level": 0.5, "bitrate_mode": bitrate_mode}  # one needs the other
    soundfile.write(stream, sound, rate, format="MP3", **options)
    data = stream.getvalue()
    return data[data.index(data[:2], 4) :]


@pytest.mark.parametrize("rate", [RATE, 48_000, 22_050, 8_000])
@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\0\x05hello"], ids=["bare", "tagged"])
def test_an_mp3_that_does_not_state_its_length_is_read_to_its_end(rate, tag):
    data = tag + _mp3_without_length("CONSTANT", rate) + b"TAG" + bytes(125)

    clip = read_audio(data, where="a.mp3")

    frame = 1152 if rate > 24_000 else 576
    assert clip.frames % frame == 0
    assert 3 * RATE <= clip.frames <= 3 * RATE + 4 * frame


def test_an_mp3_that_would_be_read_in_part_is_refused():
    assert "varying bit rate" in _refusal(_mp3_without_length("VARIABLE", RATE))


def test_an_mp3_that_ends_inside_a_frame_is_refused():
    assert "last frame is incomplete" in _refusal(_mp3_without_length("CONSTANT", RATE)[:-9])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"These are words, no samples.\n" * 99, id="text"),
        pytest.param(np.random.default_rng(0).bytes(9_999), id="noise"),
        pytest.param(b"fLaC", id="only the mark of FLAC"),
        pytest.param(b"RIFF\x24\x00\x00\x00WAVE", id="only the mark of WAV"),
        pytest.param(file_of(CLIP.segment(0, 0), "WAV"), id="WAV without samples"),
        pytest.param(file_of(CLIP, "AIFF"), id="a kind we do not promise"),
    ],
)
def test_what_is_no_recording_is_refused(data):
    _refusal(data)


@given(st.binary(max_size=400), st.sampled_from([b"", b"fLaC", b"OggS\0", b"RIFF\xff\0\0\0WAVE"]))
def test_no_bytes_make_anything_but_a_clip_or_a_refusal(tail, head):
    try:
        clip = read_audio(head + tail, where="tracks/a")
    except EntityError:
        return

    assert clip.frames > 0


def test_a_name_that_promises_another_kind_is_refused():
    with pytest.raises(EntityError, match=r"tracks/a\.flac: the name says \.flac.*is WAV"):
        read_audio(_file("WAV"), where="tracks/a.flac")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.FLAC", "FLAC"), ("a.oga", "OGG"), ("a.mp3", "MP3"), ("a.take2", "WAV"), ("a", "WAV")],
)
def test_names_of_the_right_kind_and_unknown_ones_are_read(name, kind):
    assert read_audio(_file(kind), where=name).frames == CLIP.frames


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_counted_and_refused(bad):
    samples = CLIP.samples.copy()
    samples[0, 5:8] = bad

    refusal = _refusal(file_of(CLIP.with_samples(samples), "WAV", "FLOAT"))

    assert f"3 of {samples.size} samples are not finite" in refusal


def _wav_that_promises(byte_count: int) -> bytes:
    data = _file("WAV")
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", byte_count) + data[at + 4 :]


def _flac_that_promises(frames: int) -> bytes:
    data = bytearray(_file("FLAC"))
    # STREAMINFO: the 36 bits before the checksum of the samples (RFC 9639, section 8.2).
    data[21] = (data[21] & 0xF0) | frames >> 32
    data[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_wav_that_promises(3600 * RATE * 4), id="WAV, an hour"),
        pytest.param(_wav_that_promises(0xFFFFFFF0), id="WAV, 4 GB"),
        pytest.param(_flac_that_promises(3600 * RATE), id="FLAC, an hour"),
        pytest.param(_flac_that_promises(2**36 - 1), id="FLAC, 18 days"),
    ],
)
def test_a_header_that_promises_too_much_costs_no_memory(data, tmp_path):
    path = tmp_path / "liar"
    path.write_bytes(data)
    code = (
        "import resource, sys, soundfile\n"
        "from klio_dagster.audio.read import read_audio\n"
        "from klio_dagster.errors import EntityError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_audio(sys.argv[1], where='liar')\n"
        "except EntityError: pass\n"
        "else: sys.exit('it was read')\n"
        "grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024\n"
        "sys.exit(f'{grown} MiB more' if grown > 64 else 0)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_written_to_a_pipe_is_read(length):
    assert read_audio(_wav_that_promises(length), where="tracks/a.wav").frames == CLIP.frames


def test_a_segment_after_the_end_is_refused():
    assert "ends at 3.0 s" in _refusal(_file("WAV"), start_s=3.0)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "cannot be opened" in _refusal(tmp_path / "gone.flac")


def test_a_long_recording_is_read_in_one_piece():
    clip = noisy_tone(seconds=60.0, channels=1).with_samples(
        np.tile(CLIP.samples[0], 40)  # more than the first allocation
    )

    assert np.array_equal(
        read_audio(file_of(clip, "WAV", "FLOAT"), where="tracks/a").samples, clip.samples
    )
