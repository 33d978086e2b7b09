"""`klio plan` and `klio explain`: the plan a run would make, with its facts; nothing written."""

import pytest

from tests.cli.conftest import RAISED

NOTHING = {"run": {}, "skip": {}, "wait": {}, "fail": {}, "refuse": {}}


def test_the_plan_has_every_decision_of_every_asset(computed):
    done = computed.klio("plan", "--json")

    assert done.code == 0
    assert done.json == {
        "assets": {
            "size": {
                **NOTHING,
                "run": {"missing": 1},
                "skip": {"up_to_date": 2},
                "fail": {"input_missing": 1},
            },
            "double": {
                **NOTHING,
                "run": {"upstream": 1},
                "skip": {"up_to_date": 2},
                "fail": {"upstream_failed": 1},
            },
        }
    }


def test_planning_and_explaining_write_nothing(computed):
    files, runs = computed.files(), len(computed.runs())

    for command in (["plan"], ["plan", "--force"], ["explain", "good"], ["status"], ["failures"]):
        assert computed.klio(*command).code == 0

    assert computed.files() == files
    assert len(computed.runs()) == runs


@pytest.mark.parametrize(
    ("arguments", "runs", "skips"),
    [
        pytest.param(["--force", "good"], {"forced": 1}, {}, id="forced"),
        pytest.param(["--entities", "failed"], {"missing": 1}, {}, id="failed ones"),
        pytest.param(["--entities", "stale"], {}, {}, id="stale ones"),
        pytest.param(["--entities", "stale", "--force"], {}, {}, id="stale ones, forced"),
        pytest.param(["good", "x...y"], {}, {"up_to_date": 1}, id="one refused"),
    ],
)
def test_the_plan_is_for_what_is_asked(computed, arguments, runs, skips):
    said = computed.klio("plan", *arguments, "--json").json["assets"]["size"]

    assert (said["run"], said["skip"]) == (runs, skips)
    assert said["refuse"] == ({"invalid_id": 1} if "x...y" in arguments else {})


def test_a_good_entity_is_explained_with_where_its_output_lies(computed):
    said = computed.klio("explain", "good", "--json").json

    size = said["assets"]["size"]
    assert said["entity"] == "good"
    assert (size["decision"], size["reason"]) == ("skip", "up_to_date")
    assert size["output"] == str(computed.folder / "data/size/good.json")
    assert computed.klio("explain", "good").out.startswith("good\n\nsize: skip, up_to_date\n")


def test_a_failed_entity_is_explained_with_its_last_error(computed):
    done = computed.klio("explain", "broken")

    assert done.code == 0
    assert "size: run, missing\n  it has no output yet\n  last attempt failed on " in done.out
    assert f"ValueError: no sound in it {RAISED}\n" in done.out
    assert "double: run, upstream\n  it is made from 'size': run, missing\n" in done.out


def test_an_entity_without_a_file_is_explained_with_where_to_put_it(computed):
    facts = computed.klio("explain", "nowhere", "--json").json["assets"]["size"]["facts"]

    where = computed.folder / "data/clips"
    assert facts[0].startswith(f"no file matches 'clips/{{entity}}.raw' in {where}")


def test_a_refused_id_is_explained(computed):
    done = computed.klio("explain", "x...y", "--json")

    assert done.code == 0
    assert done.json["assets"]["size"]["reason"] == "invalid_id"
    assert "'...'" in done.json["assets"]["size"]["facts"][0]


def test_an_id_that_is_not_registered_is_said_to_be_so(computed):
    done = computed.klio("explain", "nobody")

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("catalogue 'clips': 'nobody' not in it; register")


def test_an_output_that_somebody_deleted_is_explained_with_how_to_make_it_again(computed_copy):
    (computed_copy.folder / "data/size/good.json").unlink()

    said = computed_copy.klio("explain", "good", "--json").json["assets"]

    assert said["size"]["facts"][-1] == (
        "its output is not in the store: compute it again with"
        " `klio run good --select size --force`"
    )
    assert not any("not in the store" in fact for fact in said["double"]["facts"])


def test_changes_are_explained_from_what_to_what(computed_copy):
    computed_copy.clip("good", "longer sound")
    jobs = (computed_copy.folder / "clip_jobs.py").read_text()
    computed_copy.write("clip_jobs.py", jobs.replace("2 *", "3 *"))

    said = computed_copy.klio("explain", "good", "--json").json["assets"]
    alone = computed_copy.klio("explain", "good", "--select", "double", "--json").json["assets"]

    assert said["size"]["reason"] == "input_changed"
    before, _, now = said["size"]["facts"][0].partition(" and is ")
    assert before.startswith("input 'clips/{entity}.raw' was 5-")
    assert now.startswith("12-")
    assert said["double"]["reason"] == "upstream"
    assert alone["double"]["reason"] == "code_changed"
    assert " and is " in alone["double"]["facts"][0]
