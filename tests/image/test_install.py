"""`install.sh`, run in a virtual environment that has nothing: what the image would have in it.

The image itself is not built here. The wheels are fetched once, into `.cache/image`.
"""

import json
import os
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from klio_dagster.engine.limits import worker_environment
from tests.services.sdk_runner import runner

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "image"
LONG_S = 60
SOUND = """
import numpy as np, soundfile
from beam_jobs.audio import mel_spectrogram, normalise
from klio_dagster import Audio, AudioClip, Entity

assert "_soundfile_data" in soundfile._full_path, "the wheel has brought it"
clip = AudioClip(np.linspace(-0.5, 0.5, 22050, dtype=np.float32)[None], 22050)
loud = normalise(Entity("x"), clip)
back = Audio("flac").load(Audio("flac").dump(loud).data, "x.flac")
mel = mel_spectrogram(Entity("x"), back, n_mels=16)
print(f"{mel.shape[0]} {np.abs(back.samples).max():.2f}")
"""

pytestmark = pytest.mark.slow


@dataclass
class Installed:
    """An environment that install.sh was run in.

    Args:
        folder: of the environment.
        variables: those of the image.
        said: what the script printed.
    """

    folder: Path
    variables: dict[str, str]
    said: str

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.folder / "bin" / "python", *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "klio_dagster.cli.main", "image", "build", "--no-build"]
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, "--output", str(FOLDER)], cwd=ROOT, env=environment, check=True)
    folder = tmp_path_factory.mktemp("worker")
    venv.create(folder / "venv", with_pip=True)
    variables = {
        **worker_environment({}),
        "PATH": f"{folder}/venv/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        # Whatever pip is told of indexes counts for nothing: none answers there.
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    }
    started = time.perf_counter()
    done = subprocess.run(
        ["sh", FOLDER / "install.sh", folder / "venv" / "bin" / "python"],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    took = f"install.sh took {time.perf_counter() - started:.0f} s\n"
    return Installed(folder / "venv", variables, done.stdout + took)


def test_everything_fits_together_and_is_what_was_pinned(installed):
    listed = installed.python("-m", "pip", "list", "--format", "json").stdout
    there = {
        each["name"].lower().replace("_", "-").replace(".", "-"): each
        for each in json.loads(listed)
    }
    pins = dict(line.split("==") for line in (FOLDER / "requirements.txt").read_text().splitlines())

    assert "No broken requirements found." in installed.said
    assert "8 imports tried" in installed.said
    assert {name: there[name]["version"] for name in pins} == pins
    assert there.keys() - pins.keys() <= {"pip", "setuptools"}
    assert [name for name in there if name.startswith("dagster")] == []


def test_the_harness_and_the_transforms_need_no_dagster(installed):
    modules = "klio_dagster.engine.beam.sdk_harness, klio_dagster.engine.worker, beam_jobs.audio"
    done = installed.python("-c", f"import {modules}; import dagster")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'dagster'"


def test_numba_compiles_nothing_any_more(installed):
    def cache():
        folder = Path(installed.variables["NUMBA_CACHE_DIR"])
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb?")}

    before = cache()
    done = installed.python("-m", "klio_dagster.engine.warm_up")

    assert done.returncode == 0, done.stderr
    assert before
    assert cache() == before


def test_a_transform_computes_and_libsndfile_is_the_wheels_own(installed):
    done = installed.python("-c", SOUND)

    assert done.stdout.split() == ["16", "0.89"], done.stderr


def test_a_worker_of_that_environment_answers_a_runner(installed):
    with runner() as started:
        worker = subprocess.Popen(
            [
                installed.folder / "bin" / "klio-sdk-worker",
                "--id=1",
                f"--provision_endpoint={started.address}",
            ],
            cwd=installed.folder,
            env=installed.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert started.worker.get(timeout=LONG_S) == "1"
            started.hangs_up.set()
            said, _ = worker.communicate(timeout=LONG_S)
        finally:
            worker.kill()
            worker.communicate()

    assert worker.returncode == 0, said
    assert any("of-the-test" in line for line in started.logged)
