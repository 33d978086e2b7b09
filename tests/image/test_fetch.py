"""Wheels fetched for the machine of the workers: the right one of several, and only what is new.

pip is real; in the place of an index it has a folder.
"""

import io
import subprocess
import sys
import tarfile
import zipfile

import pytest

from klio_dagster.errors import ConfigError
from klio_dagster.image.fetch import fetch, named

BACKEND = """
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as opened:
        info = "{name}-1.0.dist-info/"
        opened.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
        opened.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nTag: {tag}\\n")
        opened.writestr(info + "RECORD", "")
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def index(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


def offer(index, name, tag):
    with zipfile.ZipFile(index / f"{name}-1.0-{tag}.whl", "w") as opened:
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        opened.writestr(f"{name}-1.0.dist-info/METADATA", about)
        opened.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")


def offer_source(index, name, tag):
    with tarfile.open(index / f"{name}-1.0.tar.gz", "w:gz") as opened:
        sources = {"pyproject.toml": PYPROJECT, "backend.py": BACKEND.format(name=name, tag=tag)}
        sources["PKG-INFO"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        for path, text in sources.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(text)
            opened.addfile(entry, io.BytesIO(text.encode()))


def test_the_wheel_that_brings_its_c_library_is_taken_before_the_one_that_does_not(index, wheels):
    for tag in ("py3-none-any", "py3-none-manylinux_2_28_x86_64", "py3-none-macosx_11_0_arm64"):
        offer(index, "sound", tag)

    assert fetch({"sound": "1.0"}, wheels, "x86_64") == 1
    assert [path.name for path in wheels.iterdir()] == [
        "sound-1.0-py3-none-manylinux_2_28_x86_64.whl"
    ]


def test_a_wheel_that_was_cut_off_is_fetched_again(index, wheels):
    offer(index, "sound", "py3-none-any")
    whole = (index / "sound-1.0-py3-none-any.whl").read_bytes()
    cut = wheels / "sound-1.0-py3-none-any.whl"
    cut.write_bytes(whole[:-30])

    assert fetch({"sound": "1.0"}, wheels, "x86_64") == 1
    assert cut.read_bytes() == whole


def test_what_is_there_is_not_fetched_again(index, wheels):
    offer(index, "sound", "py3-none-any")
    offer(index, "more", "py3-none-any")

    counts = [fetch(pins, wheels, "x86_64") for pins in ({"sound": "1.0"}, {"sound": "1.0"})]
    counts.append(fetch({"sound": "1.0", "more": "1.0"}, wheels, "x86_64"))

    assert counts == [1, 0, 1]


def test_a_wheel_for_another_python_is_not_taken_for_the_right_one(index, wheels):
    offer(wheels, "sound", "cp39-cp39-manylinux_2_28_x86_64")
    offer(wheels, "stable", "cp39-abi3-manylinux_2_28_x86_64")
    offer(index, "sound", "py3-none-any")

    assert fetch({"sound": "1.0", "stable": "1.0"}, wheels, "x86_64") == 1


def test_a_library_without_wheel_is_built_if_it_runs_anywhere(index, wheels):
    offer(index, "sound", "py3-none-any")
    offer_source(index, "plain", "py3-none-any")

    fetch({"plain": "1.0", "sound": "1.0"}, wheels, "x86_64")

    assert {named(path) for path in wheels.iterdir()} == {("plain", "1.0"), ("sound", "1.0")}


def test_a_wheel_built_for_this_machine_alone_is_refused(index, wheels):
    offer_source(index, "native", "py3-none-linux_x86_64")

    with pytest.raises(
        ConfigError, match=r"library native==1\.0: it has no wheel, and what is built"
    ):
        fetch({"native": "1.0"}, wheels, "x86_64")
    assert list(wheels.iterdir()) == []


def test_an_environment_without_pip_is_told_to_install_it(index, wheels, tmp_path, monkeypatch):
    offer(index, "sound", "py3-none-any")
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))

    with pytest.raises(ConfigError) as refused:
        fetch({"sound": "1.0"}, wheels, "x86_64")

    assert refused.value.what == "it has no pip, which fetches the wheels of workers"
    assert "install pip into this environment" in refused.value.fix


def test_what_no_index_has_is_one_line(index, wheels):
    with pytest.raises(ConfigError) as refused:
        fetch({"nowhere": "1.0"}, wheels, "x86_64")

    assert "library nowhere==1.0: it has no wheel, and none could be built" in str(refused.value)
    assert "\n" not in str(refused.value)
