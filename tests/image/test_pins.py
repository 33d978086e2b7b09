"""What workers get of libraries: all that their modules import, in these versions, no Dagster."""

from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from klio_dagster.errors import ConfigError
from klio_dagster.image.code import imported_by
from klio_dagster.image.pins import NEEDS, pinned

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "klio_dagster"
OF_WORKERS = ("core", "audio", "codecs", "message", "store", "engine", "errors.py", "testing.py")
# Only where jobs are submitted and looked after, never in a worker.
OF_THE_DRIVER = {"dataflow.py", "dataflow_client.py", "dataflow_bill.py"}


INSTALLED = packages_distributions()


def third_party(path):
    for name in imported_by(path, "x"):
        top = name.partition(".")[0]
        wanted = "google.protobuf" if name.startswith("google.protobuf") else top
        if wanted in {"google", "klio_dagster"}:
            continue
        yield from INSTALLED.get(wanted, ["protobuf"] if "." in wanted else [])


def test_what_modules_of_workers_import_is_in_the_list():
    paths = [
        path
        for name in OF_WORKERS
        for path in ([LIBRARY / name] if name.endswith(".py") else (LIBRARY / name).rglob("*.py"))
        if path.name not in OF_THE_DRIVER
    ]

    imported = {canonicalize_name(name) for path in paths for name in third_party(path)}

    assert len(paths) > 90
    assert imported - set(NEEDS) - {"typing-extensions"} == set()


def test_modules_of_workers_ask_google_for_nothing_but_protobuf():
    asked = {
        (path.name, name)
        for room in OF_WORKERS[:-2]
        for path in (LIBRARY / room).rglob("*.py")
        for name in imported_by(path, "x")
        if name.startswith("google.") and not name.startswith("google.protobuf")
    }

    assert {name for name, _ in asked} <= OF_THE_DRIVER


def test_pins_are_what_is_installed_with_what_that_needs_and_without_dagster():
    pins = pinned(NEEDS, machine="x86_64")

    assert pins["librosa"] == version("librosa")
    assert {"numba", "llvmlite", "cffi"} <= pins.keys(), "what librosa and soundfile need"
    assert [name for name in pins if name.startswith(("dagster", "google-cloud", "klio"))] == []
    assert list(pins) == sorted(pins)
    assert len(pins) < 80


def test_a_project_that_asks_for_dagster_does_not_get_it_unless_a_person_says_so():
    quiet = pinned([*NEEDS, "dagster>=1", "dagster-gcp", "klio-dagster"], machine="x86_64")
    said = pinned(NEEDS, ["dagster"], machine="x86_64")

    assert quiet == pinned(NEEDS, machine="x86_64")
    assert {"dagster", "dagster-shared", "dagster-pipes"} <= said.keys()


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        pytest.param("no-such-thing", "install no-such-thing, then call again", id="not here"),
        pytest.param("numpy==1.0", f"{version('numpy')} is installed here", id="another version"),
        pytest.param("a b c", "it is no requirement", id="nonsense"),
    ],
)
def test_what_cannot_be_pinned_is_one_line(asked, line):
    with pytest.raises(ConfigError) as refused:
        pinned(NEEDS, [asked], machine="x86_64")

    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
