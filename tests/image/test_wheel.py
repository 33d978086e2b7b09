"""Wheels that we write: pip takes them, equal content gives equal bytes, another a new version."""

import subprocess
import sys
import zipfile

import pytest

from klio_dagster.image.wheel import Wheel, files_below, replace_in


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree" / "jobs"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / ".cache").mkdir()
    (folder / "__init__.py").write_text("ANSWER = 42\n")
    (folder / "model.bin").write_bytes(b"\0\1")
    (folder / "one, two.txt").write_text("")
    (folder / "__pycache__" / "x.pyc").write_bytes(b"")
    (folder / ".cache" / "secret").write_text("x")
    return folder


def wheel_of(folder, **changes):
    said = {"requires": ["six==1.0"], "scripts": {"jobs-tell": "jobs:tell"}, "licence": "Free."}
    return Wheel(name="our-jobs", version="1", files=files_below(folder, "jobs"), **said | changes)


def test_it_holds_code_and_data_and_nothing_that_python_left_there(tree, tmp_path):
    written = wheel_of(tree).write(tmp_path)

    with zipfile.ZipFile(written) as opened:
        names = [name for name in opened.namelist() if ".dist-info/" not in name]
    assert names == ["jobs/__init__.py", "jobs/model.bin", "jobs/one, two.txt"]


def test_equal_content_gives_equal_bytes_and_another_content_another_version(tree, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = wheel_of(tree).write(tmp_path / "a")
    bytes_of_first = first.read_bytes()
    (tree / "__init__.py").touch()
    again = wheel_of(tree).write(tmp_path / "b")
    (tree / "__init__.py").write_text("ANSWER = 43\n")
    other = replace_in(tmp_path / "a", wheel_of(tree))

    assert first.name == again.name != other.name
    assert again.read_bytes() == bytes_of_first
    assert not first.exists(), "two versions of it in one folder would be a riddle"
    assert other.exists()


def test_pip_installs_it_with_its_command(tree, tmp_path):
    written = wheel_of(tree).write(tmp_path)
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--no-index", "--no-deps"]
    subprocess.run([*command, "--target", target, written], check=True, capture_output=True)

    ask = "import importlib.metadata as m, jobs; d = m.distribution('our-jobs')"
    ask += (
        "; print(jobs.ANSWER, d.requires, d.entry_points[0].value, d.read_text('licenses/LICENSE'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=target, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "42 ['six==1.0'] jobs:tell Free."
