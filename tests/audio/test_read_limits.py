import pytest

from klio_dagster.audio.read import ReadLimits, read_audio
from klio_dagster.errors import ConfigError, EntityError
from tests.audio.sounds import RATE, file_of, noisy_tone

CLIP = noisy_tone(seconds=3.0)


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(ReadLimits(max_duration_s=2.9), id="duration"),
        pytest.param(ReadLimits(max_decoded_bytes=3 * RATE * 8 - 1), id="size"),
    ],
)
def test_a_recording_over_a_limit_is_refused_but_its_segment_is_read(limits):
    data = file_of(CLIP, "FLAC")

    with pytest.raises(EntityError, match="ReadLimits"):
        read_audio(data, where="tracks/a", limits=limits)
    part = read_audio(data, where="tracks/a", limits=limits, start_s=1.0)

    assert part.duration_s == 2.0


def test_a_recording_of_exactly_the_limit_is_read():
    limits = ReadLimits(max_duration_s=3.0, max_decoded_bytes=3 * RATE * 8)

    assert read_audio(file_of(CLIP, "WAV"), where="tracks/a", limits=limits).duration_s == 3.0


@pytest.mark.parametrize("name", ["max_duration_s", "max_decoded_bytes"])
def test_limits_that_allow_nothing_are_refused(name):
    with pytest.raises(ConfigError, match=name):
        ReadLimits(**{name: 0})
