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
    is_group = path in (("entities",), ("message",), ("dead-letter",), ("image",))
    assert is_group or ("--json" in help_text and "--debug" in help_text)


def test_the_table_of_commands_says_what_they_say_of_themselves(capsys):
    code = main(["--help"])

    help_text = capsys.readouterr().out
    assert code == 0
    assert "Examples" not in help_text
    for name, (_, text) in COMMANDS.items():
        assert f"{name.ljust(max(map(len, COMMANDS)))}  {text}" in help_text


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["entities"]], ids=["klio", "a group"])
def test_without_a_command_all_commands_are_listed_and_the_exit_code_is_2(arguments, capsys):
    code = main(arguments)

    told = capsys.readouterr().err
    assert code == 2
    assert "Commands:" in told
    assert told.count("\n") > 5


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
        pytest.param(
            "definitions.py",
            "\n1 / 0",
            "/definitions.py:2: ZeroDivisionError: division by zero; ",
            id="raises",
        ),
        pytest.param(
            "definitions.py",
            "import nowhere",
            "/definitions.py:1: ModuleNotFoundError: No module named 'nowhere'; ",
            id="missing module",
        ),
        pytest.param(
            "definitions.py",
            "import (",
            "/definitions.py:1: SyntaxError: invalid syntax; ",
            id="no Python",
        ),
        pytest.param(
            "clip_jobs.py", "\n\ndef (", "/clip_jobs.py:3: SyntaxError: ", id="jobs no Python"
        ),
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
        pytest.param(
            "workspace.yaml",
            "load_from:\n  - [",
            "/workspace.yaml:2: it is no YAML (expected the node content, ",
            id="no YAML",
        ),
        pytest.param(
            "workspace.yaml",
            "load_from:\n  - python_modul: definitions",
            '/workspace.yaml: Received unexpected config entry "python_modul" at path'
            " root:load_from[0]; mend it\n",
            id="unknown key",
        ),
        pytest.param(
            "workspace.yaml",
            "load_from:\n  - python_module: definition",
            "/workspace.yaml: ModuleNotFoundError: No module named 'definition'; mend what"
            " workspace.yaml names",
            id="unknown module",
        ),
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
    assert done.err == (
        "--select 'nothing_like_this': it selects no entity asset; there are size, double\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["statu"], "Did you mean 'status'?", id="command"),
        pytest.param(["entities", "snyc"], "'sync'", id="command of a group"),
        pytest.param(
            ["plan", "--select", "doubel+"],
            "--select 'doubel+': it selects no entity asset; did you mean 'double'?\n",
            id="asset",
        ),
        pytest.param(
            ["run", "god"],
            "'god' not in it; did you mean 'good'? If not, register with `klio entities add`",
            id="entity of a run",
        ),
        pytest.param(["failures", "--entity", "god"], "did you mean 'good'?", id="of failures"),
        pytest.param(["entities", "remove", "god"], "did you mean 'good'?", id="of a takedown"),
    ],
)
def test_what_is_misspelt_is_asked_about_in_one_line(computed, arguments, said):
    done = computed.klio(*arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("selection", ["double and", "size,double", "(size"])
def test_what_is_no_selection_is_one_line_with_an_example(project, selection):
    done = project.klio("status", "--select", selection)

    assert done.code == 2
    assert done.err.startswith(f"--select '{selection}': it is no asset selection; write ")
    assert done.err.count("\n") == 1
