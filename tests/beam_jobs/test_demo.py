from pathlib import Path

import pytest
import soundfile

from demo.prepare import BROKEN, RECORDINGS, prepare
from klio_dagster.audio.read import read_audio
from klio_dagster.core.ids import id_problem
from klio_dagster.errors import EntityError


def test_the_catalogue_holds_real_recordings_and_odd_ones(tmp_path: Path):
    entities = prepare(tmp_path)

    odd = {"silence", "click-20ms", "truncated", "notes", "Ré majeur – étude 1"}  # noqa: RUF001
    recordings = {path.stem for path in RECORDINGS.glob("*.flac")}
    assert set(entities) == odd | recordings
    assert {path.stem for path in (tmp_path / "tracks").iterdir()} == set(entities)
    assert all(id_problem(entity) is None for entity in entities)


def test_only_the_broken_ones_cannot_be_read(tmp_path: Path):
    unreadable = set()
    for entity in prepare(tmp_path):
        try:
            file = tmp_path / "tracks" / f"{entity}.flac"
            read_audio(file.read_bytes(), where=file.name)
        except EntityError:
            unreadable.add(entity)

    assert unreadable == BROKEN


@pytest.mark.parametrize(
    "entity,seconds,is_silent", [("silence", 2.0, True), ("click-20ms", 0.02, False)]
)
def test_the_silent_and_the_short_track_are_what_their_names_say(
    entity, seconds, is_silent, tmp_path
):
    prepare(tmp_path)

    file = tmp_path / "tracks" / f"{entity}.flac"
    clip = read_audio(file.read_bytes(), where=file.name)

    assert clip.duration_s == seconds
    assert (clip.peak == 0) == is_silent


def test_preparing_again_touches_no_file(tmp_path: Path):
    prepare(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "tracks").iterdir()}

    prepare(tmp_path)

    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "tracks").iterdir()} == before


def test_preparing_again_mends_a_file_that_was_cut_short(tmp_path: Path):
    prepare(tmp_path)
    file = tmp_path / "tracks" / "bd_haus.flac"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])

    prepare(tmp_path)

    assert file.read_bytes() == whole


def test_the_recordings_are_small_varied_and_each_has_its_licence():
    files = sorted(RECORDINGS.glob("*.flac"))
    kinds = {(soundfile.info(file).channels, soundfile.info(file).subtype) for file in files}
    licences = (RECORDINGS.parent / "LICENSES.md").read_text()

    assert sum(file.stat().st_size for file in files) <= 1_500_000
    assert {channels for channels, _ in kinds} == {1, 2}
    assert {subtype for _, subtype in kinds} == {"PCM_16", "PCM_24"}
    for file in files:
        (line,) = [line for line in licences.splitlines() if f"`{file.name}`" in line]
        assert "CC0 1.0" in line
        assert "freesound.org/people/" in line
