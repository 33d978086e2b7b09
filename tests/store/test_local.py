"""A local write that is killed: all or nothing, and what it leaves is never seen."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from klio_dagster.store.local import clean_leftovers
from klio_dagster.store.store import Store

SIZE = 16 << 20
WRITE_FOR_EVER = f"""
import itertools, sys
from klio_dagster.store.store import Store
store = Store.open(sys.argv[1])
for n in itertools.count():
    print(n, flush=True)
    store.put(f"mel/{{n}}.npy", bytes([n % 251]) * {SIZE})
"""


def _killed_while_writing(folder: Path, after_s: float) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(after_s)
    writer.kill()
    writer.communicate()


@pytest.mark.parametrize("after_s", [0.0, 0.003, 0.007, 0.02, 0.05], ids="{:.3f} s".format)
def test_a_killed_write_leaves_the_whole_object_or_none(tmp_path: Path, after_s: float):
    _killed_while_writing(tmp_path, after_s)

    listed = list(Store.open(str(tmp_path)).list())

    for info in listed:
        data = Store.open(str(tmp_path)).get(info.path)
        assert info.path.endswith(".npy")
        assert len(data) == SIZE
        assert data == data[:1] * SIZE


def test_leftovers_of_killed_writes_are_not_listed_and_get_cleaned(tmp_path: Path):
    for attempt in range(50):
        _killed_while_writing(tmp_path, 0.001 * attempt)
        if leftovers := {f"mel/{file.name}" for file in tmp_path.glob("mel/*#*")}:
            break
    whole = {info.path for info in Store.open(str(tmp_path)).list()}

    too_young = clean_leftovers(tmp_path, 3600, ["mel"])
    removed = clean_leftovers(tmp_path, -1, ["mel"])

    assert leftovers
    assert not leftovers & whole
    assert too_young == []
    assert set(removed) == leftovers
    assert {info.path for info in Store.open(str(tmp_path)).list()} == whole


def test_a_leftover_does_not_hinder_the_next_write(tmp_path: Path):
    (tmp_path / "mel").mkdir()
    (tmp_path / "mel/a.npy#1").write_bytes(b"torn")
    store = Store.open(str(tmp_path))

    store.put("mel/a.npy", b"whole")

    assert store.get("mel/a.npy") == b"whole"
    assert [info.path for info in store.list()] == ["mel/a.npy"]


def test_a_file_of_the_user_that_looks_like_a_leftover_is_kept(tmp_path: Path):
    (tmp_path / "tracks").mkdir()
    (tmp_path / "tracks/take#1").write_bytes(b"music")

    removed = clean_leftovers(tmp_path, -1, ["_klio", "mel"])

    assert removed == []
    assert (tmp_path / "tracks/take#1").exists()
