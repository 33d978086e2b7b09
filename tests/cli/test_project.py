"""Where a project and Dagster's home are found."""

import pytest

from klio_dagster.cli.home import ensure_home
from klio_dagster.cli.workspace import find_folder, workspace_of
from klio_dagster.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_home(monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")  # restored afterwards, whatever is set meanwhile


def test_the_home_is_made_once_and_never_written_over(tmp_path):
    home = ensure_home(tmp_path)
    settings = home / "dagster.yaml"
    made = settings.read_text()
    settings.write_text("telemetry: {enabled: true}\n")

    again = ensure_home(tmp_path)

    assert home == again == tmp_path / ".klio"
    assert "enabled: false" in made
    assert settings.read_text() == "telemetry: {enabled: true}\n"


def test_a_home_that_the_environment_names_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    assert ensure_home(tmp_path / "project") == tmp_path
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("home", ["relative", "/nowhere/at/all"])
def test_a_home_that_is_no_folder_is_refused(home, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", home)

    with pytest.raises(ConfigError, match="DAGSTER_HOME"):
        ensure_home(tmp_path)


def test_the_project_is_found_from_a_folder_below(tmp_path):
    (tmp_path / "workspace.yaml").write_text("load_from: []")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    assert find_folder(below) == tmp_path


@pytest.mark.parametrize(
    ("text", "module"),
    [
        pytest.param(
            '[tool.dg.project]\nroot_module = "songs"\n', "songs.definitions", id="root module"
        ),
        pytest.param(
            '[tool.dg.project]\nroot_module = "x"\ncode_location_target_module = "songs.defs"\n',
            "songs.defs",
            id="target module",
        ),
        pytest.param('[tool.dagster]\nmodule_name = "songs"\n', "songs", id="tool.dagster"),
    ],
)
def test_without_a_workspace_pyproject_names_the_definitions(tmp_path, text, module):
    (tmp_path / "pyproject.toml").write_text(text)

    target = workspace_of(find_folder(tmp_path))["load_from"][0]["python_module"]

    assert target["module_name"] == module


def test_a_pyproject_without_dagster_is_no_project(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")

    with pytest.raises(ConfigError, match=r"no workspace\.yaml"):
        find_folder(tmp_path)


@pytest.mark.parametrize(
    "workspace",
    [
        pytest.param("load_from:\n  - python_module: definitions\n", id="module by name"),
        pytest.param("load_from:\n  - python_file: definitions.py\n", id="file"),
        pytest.param(
            "load_from:\n  - python_file:\n      relative_path: definitions.py\n"
            "      attribute: defs\n",
            id="file and attribute",
        ),
        pytest.param(
            "load_from:\n  - python_package:\n      package_name: definitions\n", id="package"
        ),
    ],
)
def test_every_way_to_name_definitions_in_a_workspace_works(computed_copy, workspace):
    computed_copy.write("workspace.yaml", workspace)

    done = computed_copy.klio("run", "good", "--json")

    assert done.code == 0, done.err
    assert done.json["assets"]["double"]["skipped"] == 1


def test_settings_from_the_environment_are_resolved(project):
    text = (project.folder / "definitions.py").read_text()
    project.write("definitions.py", text.replace('store="data"', 'store=dg.EnvVar("CLIPS")'))
    project.write("elsewhere/clips/good.raw", "sound")

    missing = project.klio("entities", "sync")
    done = project.klio("entities", "sync", "--json", CLIPS="elsewhere")

    assert missing.code == 2
    assert missing.err == ("resource 'klio': the environment variable CLIPS is not set; set it\n")
    assert done.json["sources"][0]["new"] == 1


def test_an_asset_of_one_of_several_code_locations_is_selected(project):
    project.write("others.py", "import dagster as dg\ndefs = dg.Definitions()\n")
    project.write(
        "workspace.yaml",
        "load_from:\n  - python_module: others\n  - python_module: definitions\n",
    )

    done = project.klio("status", "--select", "size", "--json")

    assert done.code == 0, done.err
    assert list(done.json["assets"]) == ["size"]
