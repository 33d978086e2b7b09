"""A folder as the README leaves its reader with it, before anything was typed."""

import shutil

import pytest

from tests.docs.page import README, ROOT, Reader

RECORDINGS = ("drum_snare_soft", "tabla_na_s")


@pytest.fixture
def reader(tmp_path):
    """Has the README's files and its two recordings."""
    reader = Reader(tmp_path)
    _record(tmp_path / "data" / "tracks")
    reader.write_files(README)
    return reader


@pytest.fixture
def reader_with_nothing(tmp_path):
    """Has two recordings and no file of a project."""
    _record(tmp_path / "data" / "tracks")
    return Reader(tmp_path)


@pytest.fixture
def reader_of_the_reference_project(tmp_path):
    """Has that project's workspace.yaml, two recordings in its store, and a list of ids."""
    _record(tmp_path / ".klio" / "store" / "tracks")
    shutil.copy(ROOT / "workspace.yaml", tmp_path)
    (tmp_path / "ids.txt").write_text("track-1\ntrack-2\n", encoding="utf-8")
    return Reader(tmp_path)


def _record(folder):
    folder.mkdir(parents=True)
    for number, name in enumerate(RECORDINGS, start=1):
        shutil.copy(ROOT / "demo" / "tracks" / f"{name}.flac", folder / f"track-{number}.flac")
