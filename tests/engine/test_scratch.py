"""A worker's temporary files: whose folder they lie in, and what is never removed."""

import os
import tempfile
from pathlib import Path

import pytest

from klio_dagster.engine import scratch
from klio_dagster.engine.scratch import forget_file, keep_file, scratch_root
from klio_dagster.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def kept() -> Path:
    return keep_file(iter([b"sound"]), 5, name="a.ogg", where="s3://bucket/a.ogg")


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("tracks/a.ogg", id="a store lies there"),
        pytest.param("worker-1/abcd/source.ogg", id="another worker's"),
        pytest.param(f"worker-{os.getpid()}0/abcd/source.ogg", id="one with a longer number"),
    ],
)
def test_nothing_is_removed_but_what_this_process_has_kept(place: str):
    ours, other = kept(), scratch_root() / place
    other.parent.mkdir(parents=True)
    other.write_bytes(b"a recording that exists once")

    forget_file(other)
    forget_file(ours)

    assert other.read_bytes()
    assert not ours.parent.exists()


@pytest.mark.parametrize("was_ours", [False, True], ids=["new", "our folder is there"])
def test_a_folder_of_somebody_else_is_refused(was_ours: bool, monkeypatch: pytest.MonkeyPatch):
    root, us = scratch_root(), os.getuid()
    root.mkdir()
    if was_ours:
        kept()
    before = sorted(root.rglob("*"))
    monkeypatch.setattr(scratch, "scratch_root", lambda: root)  # anybody may make it in /tmp
    monkeypatch.setattr(os, "getuid", lambda: us + 1)

    with pytest.raises(ConfigError, match="it belongs to somebody else") as caught:
        kept()

    assert "TMPDIR" in caught.value.fix
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("is_dangling", [False, True], ids=["to a folder", "to nowhere"])
def test_a_link_in_its_place_is_refused(folder: Path, is_dangling: bool):
    target = folder / "elsewhere"
    if not is_dangling:
        (target / f"worker-{os.getpid()}").mkdir(parents=True)
    scratch_root().symlink_to(target)

    with pytest.raises(ConfigError, match="it belongs to somebody else"):
        kept()

    assert [path for path in target.rglob("*") if path.is_file()] == []


def test_a_file_in_its_place_is_one_clear_line(folder: Path):
    scratch_root().write_bytes(b"")

    with pytest.raises(ConfigError, match="TMPDIR"):
        kept()
