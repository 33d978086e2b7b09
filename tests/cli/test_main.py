"""Whatever goes wrong is one line: what, where, how to mend; and every command helps itself."""

import click
import pytest

from klio_dagster.cli.main import COMMANDS, klio, main
from klio_dagster.version import __version__


def commands() -> list[tuple[str, ...]]:
    """The path of every command."""
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = klio.get_command(click.Context(klio), name)
        assert command is not None
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, below) for below in command.commands]
    return found


@pytest.mark.parametrize("path", [pytest.param(path, id=" ".join(path)) for path in commands()])
def test_every_command_helps_with_an_example_of_itself(path, capsys):
    code = main([*path, "--help"])

    help_text = capsys.readouterr().out
    assert code == 0
    assert "Examples:" in help_text
    assert f"\n    klio {' '.join(path)}" in help_text


@pytest.mark.parametrize("path", [pytest.param(path, id=" ".join(path)) for path in commands()])
def test_every_command_takes_json_and_debug(path, capsys):
    main([*path, "--help"])

    help_text = capsys.readouterr().out
    assert path == ("entities",) or ("--json" in help_text and "--debug" in help_text)


def test_the_table_of_commands_says_what_they_say_of_themselves(capsys):
    code = main(["--help"])

    help_text = capsys.readouterr().out
    assert code == 0
    assert "Examples" not in help_text
    for name, (_, text) in COMMANDS.items():
        assert f"{name:8}  {text}" in help_text


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["bogus"], "No such command 'bogus'", id="unknown command"),
        pytest.param(["run", "--bogus"], "No such option", id="unknown option"),
        pytest.param(["run", "--entities", "some"], "'some' is not one of", id="unknown state"),
        pytest.param(["run", "a", "--entities", "all"], "not with them", id="two ways to name"),
        pytest.param(["run", "--from-file", "/nowhere"], "No such file", id="no such file"),
        pytest.param(["explain"], "Missing argument", id="nothing named"),
        pytest.param(["entities", "add"], "no ids", id="no ids"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, said, capsys):
    code = main(arguments)

    told = capsys.readouterr()
    assert code == 2
    assert not told.out
    assert said in told.err
    assert told.err.count("\n") == 1


def test_what_nobody_expected_is_one_line_too(monkeypatch, capsys):
    def fails(_select):
        raise RuntimeError("boom\nand more of it")

    monkeypatch.setattr("klio_dagster.cli.status.open_project", fails)

    code = main(["status"])

    assert code == 2
    assert capsys.readouterr().err == (
        "klio: unexpected RuntimeError: boom and more of it; --debug shows where\n"
    )


def test_outside_of_a_project_one_line_says_where_to_go(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    done = project.klio("status", cwd=elsewhere)

    assert done.code == 2
    assert done.err == (
        f"folder '{elsewhere}': no workspace.yaml and no pyproject.toml with [tool.dg] here or"
        " above; go to the project's folder\n"
    )


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        pytest.param("definitions.py", "1 / 0", "ZeroDivisionError: division by zero", id="raises"),
        pytest.param("definitions.py", "import nowhere", "nowhere", id="missing module"),
        pytest.param("definitions.py", "import (", "SyntaxError", id="no Python"),
        pytest.param("definitions.py", "x = 1", "No Definitions", id="no definitions"),
        pytest.param(
            "definitions.py",
            "import dagster as dg\ndefs = dg.Definitions()",
            "there is no group of entity assets",
            id="no group",
        ),
        pytest.param(
            "definitions.py",
            "import klio_dagster as k\nk.EntityAsset('size', len, output=k.Json(), deps='size')",
            "asset 'size': deps is a text",
            id="error of ours",
        ),
        pytest.param("workspace.yaml", "load_from: [", "workspace.yaml", id="no YAML"),
        pytest.param("workspace.yaml", "- nothing", "it has no load_from", id="no mapping"),
    ],
)
def test_a_project_that_cannot_be_loaded_is_one_line(project, file, text, said):
    project.write(file, text)

    done = project.klio("status")

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


PRINTS = "import os\nprint('loading')\nos.system('echo loading in C')\n"


@pytest.mark.parametrize("command", ["status", "plan", "run"])
def test_what_definitions_print_is_not_on_stdout(project, command):
    definitions = (project.folder / "definitions.py").read_text()
    project.write("definitions.py", PRINTS + definitions)

    done = project.klio(command, "--json")

    assert done.code == 0
    assert "size" in done.json["assets"]
    assert sorted(done.err.split("\n")) == ["", "loading", "loading in C"]


@pytest.mark.parametrize("command", ["status", "plan", "failures", "explain x", "entities list"])
def test_a_command_that_fails_prints_nothing_on_stdout(project, command):
    project.write("definitions.py", PRINTS + "1 / 0")

    done = project.klio(*command.split(), "--json")

    assert (done.code, done.out) == (2, "")
    assert "ZeroDivisionError: division by zero" in done.err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--debug", "status"], ["status", "--debug"]])
def test_debug_shows_the_traceback_before_the_line(project, arguments):
    project.write("definitions.py", "1 / 0")

    done = project.klio(*arguments)

    assert done.code == 2
    assert "Traceback" in done.err
    assert 'definitions.py", line 1' in done.err
    assert "ZeroDivisionError: division by zero" in done.err.splitlines()[-1]


def test_a_selection_that_selects_nothing_is_one_line(project):
    done = project.klio("run", "--select", "nothing_like_this")

    assert done.code == 2
    assert "--select 'nothing_like_this'" in done.err
    assert done.err.count("\n") == 1
