"""The code of a project: what transforms import, and what that imports, wherever it is written."""

import site
from pathlib import Path

import pytest

from klio_dagster.errors import ConfigError
from klio_dagster.image.code import code_of


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Modules whose names no test uses again: Python remembers what it has found."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(path, text=""):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    write.folder = tmp_path
    return write


def test_it_follows_imports_at_the_top_and_within_functions(project):
    project("ca_jobs.py", "import ca_near\nimport json\n\ndef f():\n    from ca_far import g\n")
    project("ca_near.py", "import soundfile\n")
    project("ca_far.py", "def g():\n    import scipy.signal\n")
    project("ca_unused.py", "import dagster\n")

    code = code_of(["ca_jobs"], project.folder)

    assert sorted(code.files) == ["ca_far.py", "ca_jobs.py", "ca_near.py"]
    assert {name.lower() for name in code.distributions} == {"soundfile", "scipy"}


def test_of_a_package_all_files_are_taken_and_only_reached_modules_looked_at(project):
    project("cb_pack/__init__.py")
    project("cb_pack/jobs.py", "from . import tables\nfrom .more.deep import x\n")
    project("cb_pack/tables.py", "import pandas as pd\n")
    project("cb_pack/more/deep.py", "from ..tables import pd as x\n")
    project("cb_pack/definitions.py", "import dagster\n")
    project("cb_pack/model.txt", "weights")

    code = code_of(["cb_pack.jobs"], project.folder)

    assert "cb_pack/model.txt" in code.files
    assert "cb_pack/definitions.py" in code.files, "it lies there, and nobody imports it"
    assert code.distributions == ["pandas"]


def test_a_package_without_init_is_found_too(project):
    project("cc_space/jobs.py", "import cc_space.other\n")
    project("cc_space/other.py")

    assert sorted(code_of(["cc_space.jobs"], project.folder).files) == [
        "cc_space/jobs.py",
        "cc_space/other.py",
    ]


def test_of_a_package_that_many_share_the_one_distribution_is_named(project):
    project("cd_jobs.py", "from google.cloud import storage\nimport google.protobuf.message\n")

    assert code_of(["cd_jobs"], project.folder).distributions == [
        "google-cloud-storage",
        "protobuf",
    ]


def test_what_is_installed_is_pinned_and_not_packed(project):
    code = code_of(["soxr", "klio_dagster.audio.levels", "json"], project.folder)

    assert dict(code.files) == {}
    assert code.distributions == ["soxr"]


def test_what_a_user_has_installed_for_himself_is_installed(project, monkeypatch):
    project("ch_jobs.py", "import ch_lib\n")
    project("of-the-user/ch_lib.py")
    own = str(project.folder / "of-the-user")
    monkeypatch.syspath_prepend(own)
    monkeypatch.setattr(site, "getusersitepackages", lambda: own)

    assert list(code_of(["ch_jobs"], project.folder).files) == ["ch_jobs.py"]


def test_what_is_included_keeps_its_place(project):
    project("ce_jobs.py")
    project("models/tiny/weights.bin", "w")
    project("words.txt", "a")

    code = code_of(["ce_jobs"], project.folder, [Path("models"), Path("words.txt")])

    assert sorted(code.files) == ["ce_jobs.py", "models/tiny/weights.bin", "words.txt"]


@pytest.mark.parametrize(
    ("modules", "included", "line"),
    [
        pytest.param(["cf_nowhere"], [], "module 'cf_nowhere': it is not found", id="no module"),
        pytest.param([], ["nothing"], "--include 'nothing': it is not there", id="no file"),
        pytest.param([], [".."], "it is not below the project's folder", id="above"),
        pytest.param([], ["."], "it is not below the project's folder", id="all of it"),
    ],
)
def test_what_is_not_there_is_one_line(project, modules, included, line):
    with pytest.raises(ConfigError) as refused:
        code_of(modules, project.folder, map(Path, included))

    assert line in str(refused.value)


def test_a_source_that_is_no_python_is_named(project):
    project("cg_jobs.py", "def f(:\n")

    with pytest.raises(ConfigError, match=r"cg_jobs.py: it is no Python"):
        code_of(["cg_jobs"], project.folder)
