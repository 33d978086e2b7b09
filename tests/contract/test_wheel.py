"""What a user installs: the library, its types marker and its licence, and nothing else."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

import klio_dagster

CONSTRAINT = r"[\w.-]+==[\w.+!]+(; python_version [<>]=? \"3\.\d+\")?$"
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    with ZipFile(built) as opened:
        yield opened


def test_the_wheel_holds_the_library_and_no_other_package(wheel):
    folders = {name.partition("/")[0] for name in wheel.namelist()}

    assert folders == {"klio_dagster", f"klio_dagster-{klio_dagster.__version__}.dist-info"}


def test_the_wheel_says_that_it_is_typed_and_under_which_licence(wheel):
    names = wheel.namelist()

    assert "klio_dagster/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_holds_every_module_of_the_library(wheel):
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "klio_dagster").rglob("*.py")}

    assert ours <= set(wheel.namelist())


def test_the_wheel_holds_the_page_of_klio_view(wheel):
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "klio_dagster").glob("observe/page/*")}

    assert "klio_dagster/observe/page/index.html" in page
    assert page <= set(wheel.namelist())


def test_the_wheel_brings_the_commands(wheel):
    entry_points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))

    said = wheel.read(entry_points).decode()
    assert "klio = klio_dagster.cli.main:main" in said
    assert "klio-sdk-worker = klio_dagster.engine.beam.sdk_worker:main" in said


def test_dagster_dev_and_dg_dev_load_the_same_module_under_the_same_name():
    (location,) = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    dg = PROJECT["tool"]["dg"]["project"]

    assert location["python_module"] == {
        "module_name": dg["code_location_target_module"],
        "location_name": dg["code_location_name"],
    }


def test_every_constraint_is_one_version_and_no_address():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if not re.match(CONSTRAINT, line)] == []


def test_everything_the_project_asks_for_has_a_tested_version():
    def name(requirement):
        return requirement.partition("[")[0].partition(">")[0].lower().replace("_", "-")

    constrained = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    }
    asked = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]

    assert {name(requirement) for requirement in asked} <= constrained
