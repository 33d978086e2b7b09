"""Where in a user's code an exception was raised."""

import json
from pathlib import Path

import pytest

from klio_dagster.core.ids import check_id
from klio_dagster.core.place import Place, cut, place_of, without_place


def _raised(function):
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("nothing was raised")


def _module(folder: Path, name: str, text: str, path: str | None = None):
    """The functions of a module of the user's, without importing it."""
    file = folder / (path or f"{name.replace('.', '/')}.py")
    functions = {"__name__": name}
    exec(compile(text, str(file), "exec"), functions)
    return functions


def test_the_innermost_line_of_the_user_is_named_and_not_that_of_a_library(tmp_path):
    text = "import json\ndef parsed():\n    return inner()\ndef inner():\n    json.loads('{')\n"
    jobs = _module(tmp_path, "jobs.audio", text)

    place = place_of(_raised(jobs["parsed"]))

    assert place == Place(str(tmp_path / "jobs/audio.py"), 5, "jobs.audio")
    assert str(place) == "jobs/audio.py:5"


def test_what_this_package_refuses_is_shown_where_the_user_asked_for_it(tmp_path):
    jobs = _module(tmp_path, "jobs", "def refused(check):\n    check('')\n")

    place = place_of(_raised(lambda: jobs["refused"](check_id)))

    assert str(place) == "jobs.py:2"


def test_the_place_of_an_error_of_others_is_that_of_its_cause(tmp_path):
    jobs = _module(tmp_path, "jobs", "def broken():\n    return 1 / 0\n")
    ours = ValueError("something of ours")
    ours.__cause__ = _raised(jobs["broken"])

    assert str(place_of(ours)) == "jobs.py:2"


def test_an_error_that_went_through_no_line_of_the_user_has_no_place():
    assert place_of(ValueError("made and never raised")) is None


def test_installed_code_is_the_users_where_its_package_is(tmp_path):
    text = "def broken():\n    return 1 / 0\n"
    installed = "lib/site-packages/songs/jobs.py"
    jobs = _module(tmp_path, "songs.jobs", text, installed)
    error = _raised(jobs["broken"])

    inside = [place_of(error, packages) for packages in ((), {"songs"})]

    # This file is the user's too: it called what is installed.
    assert [Path(place.file).name for place in inside if place] == ["test_place.py", "jobs.py"]


def test_a_syntax_error_is_where_python_stumbled(tmp_path):
    text = "def broken(:\n"

    error = _raised(lambda: compile(text, str(tmp_path / "jobs.py"), "exec"))

    assert place_of(error) == Place(str(tmp_path / "jobs.py"), 1)


def test_a_package_is_named_with_its_folder():
    assert str(Place("/x/songs/__init__.py", 3, "songs")) == "songs/__init__.py:3"


@pytest.mark.parametrize(
    ("text", "most", "cut_text"),
    [
        pytest.param("short (a.py:1)", 20, "short (a.py:1)", id="it fits"),
        pytest.param("x" * 30, 10, "xxxxxxx...", id="no place"),
        pytest.param("x" * 30 + " (a.py:12)", 20, "xxxxxxx... (a.py:12)", id="the place stays"),
    ],
)
def test_a_long_error_keeps_its_place(text, most, cut_text):
    assert cut(text, most) == cut_text
    assert len(cut_text) <= most


def test_only_a_place_at_the_end_is_one():
    assert without_place("bad (a.py:1)") == ("bad", " (a.py:1)")
    assert without_place("at (a.py:1) it is bad") == ("at (a.py:1) it is bad", "")
    assert without_place(json.dumps("bad (12)"))[1] == ""


def test_what_a_terminal_would_obey_is_escaped_and_other_alphabets_are_not():
    said = "ValueError: title '\x1b[2J\u202egp3.exe\n' of \u0634\u200c\u0645 (jobs.py:3)"

    shown = cut(said, 300)

    assert shown == (
        "ValueError: title '\\x1b[2J\\u202egp3.exe\\n' of \u0634\u200c\u0645 (jobs.py:3)"
    )
