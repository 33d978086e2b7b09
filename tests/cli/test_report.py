"""The one object of `klio run --json`, however the runs end."""

import json

import pytest

from klio_dagster.cli.main import main
from klio_dagster.cli.report import Report, merge
from klio_dagster.errors import LedgerError, RunError

NOTHING = {"materialized": 0, "skipped": 0, "failed": 0, "waiting": 0}
BAD = {"entity": "a", "asset": "x", "error": "ValueError: bad"}
REFUSED = {"entity": "a...b", "asset": None, "error": "invalid_id: it holds '...'"}
BY_ASSET = {"reasons": {"x": {}}, "checks": {}, "spent": {"x": {}}}


def test_a_store_that_cannot_be_written_is_one_line_and_exit_code_2(project):
    project.klio("entities", "add", "one")
    project.write("data", "a file where the store should be")

    said, done = project.klio("run"), project.klio("run", "--json")

    assert (said.code, done.code) == (2, 2)
    assert said.out == ""
    assert done.err == said.err
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"store {project.folder / 'data'}/")
    assert "a file stands where a folder is needed" in said.err
    assert done.json == {
        "run_id": project.runs()[0].run_id,
        "seconds": done.json["seconds"],
        "assets": {"size": NOTHING, "double": NOTHING},
        "failures": [],
        "blocked": 0,
        "reasons": {},
        "checks": {},
        "spent": {},
        "error": done.err.strip(),
    }


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        pytest.param(["nobody"], "", id="unknown id"),
        pytest.param(["--from-file", "-"], "", id="no id in the file"),
        pytest.param(["x", "--entities", "all"], "", id="two ways to name them"),
        pytest.param(["--select", "nothing_like_this"], "", id="nothing selected"),
    ],
)
def test_what_stops_before_a_run_is_made_has_its_object_too(computed, arguments, stdin):
    done = computed.klio("run", *arguments, "--json", stdin=stdin)

    assert done.code == 2
    assert done.json["run_id"] is None
    assert done.json["error"] == done.err.strip()
    assert set(done.json["assets"]) <= {"size", "double"}
    assert all(counts == NOTHING for counts in done.json["assets"].values())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(LedgerError("it is locked", "ledger", "wait"), 2, id="ledger"),
        pytest.param(RunError("it cannot go on", "run x", "look"), 1, id="run"),
        pytest.param(RuntimeError("boom"), 2, id="unexpected"),
        pytest.param(KeyboardInterrupt(), 130, id="interrupted"),
    ],
)
def test_whatever_stops_it_the_last_thing_on_stdout_is_its_object(error, code, monkeypatch, capsys):
    def fails(_select):
        raise error

    monkeypatch.setattr("klio_dagster.cli.run.open_project", fails)

    ended = main(["run", "--json"])

    told = capsys.readouterr()
    assert ended == code
    assert json.loads(told.out)["error"] == told.err.strip()


def test_what_earlier_runs_did_is_in_the_object_of_one_that_stops():
    report = Report()
    report.keys = ["x", "y"]
    report.run_ids = ["a", "b"]
    report.summaries.append(
        {
            "run_id": "a",
            "seconds": 1.0,
            "assets": {"x": {}},
            "failures": [BAD],
            "blocked": 0,
            **BY_ASSET,
        }
    )

    said = report.stopped("it cannot go on")

    assert said["assets"] == {"x": {}, "y": NOTHING}
    assert (said["run_id"], said["run_ids"], said["failures"]) == ("b", ["a", "b"], [BAD])
    assert said["error"] == "it cannot go on"


def test_several_summaries_are_one():
    one = {
        "run_id": "a",
        "seconds": 1.0,
        "assets": {"x": {}},
        "failures": [BAD, REFUSED],
        "blocked": 2,
        **BY_ASSET,
    }
    other = {
        "run_id": "b",
        "seconds": 2.5,
        "assets": {"y": {}},
        "failures": [REFUSED],
        "blocked": 1,
        **BY_ASSET,
        "spent": {"y": {"seconds": 2.0}},
    }

    merged = merge([one, other])

    assert merged == {
        "run_id": "b",
        "seconds": 3.5,
        "assets": {"x": {}, "y": {}},
        "failures": [BAD, REFUSED],
        "blocked": 3,
        **BY_ASSET,
        "spent": {"x": {}, "y": {"seconds": 2.0}},
        "run_ids": ["a", "b"],
    }
    assert merge([one]) == one
