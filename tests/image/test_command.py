"""`klio image`: what it writes, what it refuses, and what it asks Docker for where there is one.

Where the libraries' wheels lie already, nothing is fetched; empty zip files do for that.
"""

import stat
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.stager import Stager

from klio_dagster.image.context import MACHINE
from klio_dagster.image.pins import NEEDS, pinned
from tests.cli.conftest import ROOT, Project

PROGRAM = """#!/bin/sh
echo "$@" >> "{log}"
[ "$1" = info ] && exit {answers}
[ "$1" = build ] && {{ echo "step one"; echo "no space left on device"; exit {builds}; }}
exit 0
"""


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path / "project")
    wheels = made.folder / ".klio" / "image" / "wheels"
    wheels.mkdir(parents=True)
    (wheels.parent / "Dockerfile").write_text("# Made by `klio image build`\n")
    for name, version in pinned(NEEDS, machine=MACHINE).items():
        ZipFile(wheels / f"{name.replace('-', '_')}-{version}-py3-none-any.whl", "w").close()
    yield made
    made.end()


@pytest.fixture
def docker(tmp_path):
    """Puts a program called `docker` on a path of its own that does as it is told."""
    log = tmp_path / "asked.txt"

    def put(*, answers=True, builds=True):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "docker"
        program.write_text(
            PROGRAM.format(log=log, answers=int(not answers), builds=int(not builds))
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return {"PATH": str(folder)}  # a podman that is there is not asked

    put.asked = lambda: log.read_text().splitlines()
    return put


def test_it_writes_a_dockerfile_on_beams_image_and_pins_what_is_installed(project):
    done = project.klio("image", "build", "--no-build", "--json")

    folder = project.folder / ".klio" / "image"
    pins = pinned(NEEDS, machine=MACHINE)
    dockerfile = (folder / "Dockerfile").read_text().splitlines()
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert done.code == 0, done.err
    assert done.json["fetched"] == 0
    assert done.json["code"] == ["clip_jobs.py"]
    assert f"FROM apache/beam_python3.11_sdk:{pins['apache-beam']}" in dockerfile
    assert 'ENTRYPOINT ["/opt/apache/beam/boot"]' in dockerfile
    assert "USER ${KLIO_USER}" in dockerfile
    assert any("NUMBA_CPU_NAME=generic" in line for line in dockerfile)
    assert any("OPENBLAS_NUM_THREADS=1" in line for line in dockerfile)
    assert lines[:-2] == [f"{name}=={version}" for name, version in pins.items()]
    assert lines[-2].startswith("klio-dagster==0.1.0+w")
    assert lines[-1].startswith("klio-project==0+w")
    assert (folder / "imports.txt").read_text() == "clip_jobs:double\nclip_jobs:size\n"
    assert not any(char in "".join(lines) for char in "/@"), "names and versions, no address"


def test_a_second_call_writes_the_same_and_changed_code_alone_is_made_anew(project):
    def written():
        folder = project.folder / ".klio" / "image"
        return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    first = project.klio("image", "build", "--no-build", "--json")
    before = written()
    wheels = project.folder / ".klio" / "image" / "wheels"
    (wheels / "old-1.0-py3-none-any.whl").touch()
    numpy = next(wheels.glob("numpy-*"))
    numpy.with_name(numpy.name.replace("py3-none", "cp39-cp39")).touch()
    again = project.klio("image", "build", "--no-build", "--json")
    same = written()
    project.write("clip_jobs.py", (project.folder / "clip_jobs.py").read_text() + "X = 1\n")
    changed = project.klio("image", "build", "--no-build", "--json")

    assert same == before, "and what is pinned no more is gone"
    assert again.json == first.json
    assert changed.json["image"] != first.json["image"]
    differ = set(written()) ^ set(before)
    assert len(differ) == 2
    assert all(name.startswith("klio_project-") for name in differ)


def test_the_script_is_one_for_any_posix_shell(project):
    project.klio("image", "build", "--no-build")

    script = project.folder / ".klio" / "image" / "install.sh"
    done = subprocess.run(["sh", "-n", script], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "--no-index" in script.read_text()


def test_without_docker_the_files_are_written_and_one_line_says_what_to_run(project, docker):
    done = project.klio("image", "build", **docker(answers=False))

    line = done.err.splitlines()[-1]
    assert done.code == 1
    assert "neither Docker nor podman answers here" in line
    assert "run `docker build --platform linux/amd64 --tag klio-worker:" in line
    assert (project.folder / ".klio" / "image" / "Dockerfile").exists()


def test_with_docker_it_builds_and_pushes_what_it_was_told(project, docker):
    done = project.klio(
        "image", "build", "--tag", "example.com/tracks:1", "--push", "--json", **docker()
    )

    folder = project.folder / ".klio" / "image"
    assert done.code == 0, done.err
    assert done.json["built"]
    assert done.json["pushed"]
    assert docker.asked() == [
        "info",
        f"build --platform linux/amd64 --tag example.com/tracks:1 {folder}",
        "push --quiet example.com/tracks:1",
    ]


def test_a_build_that_fails_is_one_line_with_the_last_thing_it_said(project, docker):
    done = project.klio("image", "build", **docker(builds=False))

    assert done.code == 1
    assert "docker ended with code 1: no space left on device" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_another_base_gets_beams_entrypoint(project):
    project.klio("image", "build", "--no-build", "--base", "example.com/cuda:12")

    dockerfile = (project.folder / ".klio" / "image" / "Dockerfile").read_text()
    assert "FROM example.com/cuda:12\n" in dockerfile
    assert "COPY --from=apache/beam_python3.11_sdk:" in dockerfile


@pytest.mark.parametrize(
    ("options", "line"),
    [
        pytest.param(["--push"], "--push: the name of the image says no registry", id="no tag"),
        pytest.param(["--push", "--tag", "x:1"], "says no registry", id="no registry"),
        pytest.param(["--output", "data"], "something else is there already", id="not ours"),
        pytest.param(["--include", "../x"], "it is not there", id="nothing to include"),
        pytest.param(["--extra-requirement", "nope"], "it is not installed here", id="library"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_is_touched(project, options, line):
    project.clip("one")

    done = project.klio("image", "build", "--no-build", *options)

    assert done.code == 2
    assert line in done.err.splitlines()[-1]
    assert project.files().keys() == {"clips/one.raw"}


def test_transforms_that_load_dagster_are_refused_with_the_way_out(project):
    jobs = (project.folder / "clip_jobs.py").read_text()
    project.write("clip_jobs.py", "import dagster\n" + jobs)

    done = project.klio("image", "build", "--no-build")

    assert done.code == 2
    assert "importing it loads Dagster, which workers do not have" in done.err.splitlines()[-1]


def test_packages_are_two_wheels_that_ask_for_what_workers_need(project):
    done = project.klio("image", "packages", "--json")
    again = project.klio("image", "packages")

    library, code = done.json["packages"]
    assert done.code == 0, done.err
    assert again.out.splitlines() == [library, code]
    with ZipFile(library) as opened:
        about = next(name for name in opened.namelist() if name.endswith("METADATA"))
        asked = [
            line.removeprefix("Requires-Dist: ")
            for line in opened.read(about).decode().splitlines()
            if line.startswith("Requires-Dist")
        ]
    pins = pinned(NEEDS, machine=MACHINE)
    assert asked == [f"{name}=={pins[name]}" for name in NEEDS]
    with ZipFile(code) as opened:
        assert "clip_jobs.py" in opened.namelist()


def test_beam_stages_those_packages_for_dataflow(project, tmp_path):
    paths = project.klio("image", "packages", "--json").json["packages"]
    options = PipelineOptions([f"--extra_package={each}" for each in paths])

    staged = Stager.create_job_resources(options, str(tmp_path))

    role = beam_runner_api_pb2.ArtifactStagingToRolePayload
    names = {role.FromString(each.role_payload).staged_name for each in staged}
    assert {Path(each).name for each in paths} | {"extra_packages.txt"} <= names


def test_its_wheel_of_the_library_is_the_library(project):
    library = project.klio("image", "packages", "--json").json["packages"][0]

    with ZipFile(library) as opened:
        names = set(opened.namelist())
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "klio_dagster").rglob("*.py")}
    assert ours <= names
    assert {"klio_dagster/py.typed", "klio_dagster/image/install.sh"} <= names
