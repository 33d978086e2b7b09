"""`klio status` and `klio failures`: the same numbers for people and for programs."""

from tests.cli.conftest import RAISED


def test_materialized_failed_and_missing_make_up_all_entities(computed):
    done = computed.klio("status", "--json")

    assert done.code == 0
    assert done.json == {
        "entities": 4,
        "assets": {
            "size": {"materialized": 2, "failed": 2, "missing": 0, "stale": 0},
            "double": {"materialized": 2, "failed": 2, "missing": 0, "stale": 0},
        },
    }


def test_people_get_a_table(computed):
    done = computed.klio("status", "--select", "size")

    assert done.out == (
        "asset  materialized  failed  missing  stale\n"
        "size              2       2        0      0\n"
        "\n4 entities\n"
    )


def test_failures_are_root_causes_and_the_blocked_ones_a_number(computed):
    done = computed.klio("failures", "--json")

    told = {failure["entity"]: failure for failure in done.json["failures"]}
    assert done.code == 0
    assert set(told) == {"broken", "nowhere"}
    assert told["broken"]["asset"] == "size"
    assert told["broken"]["error"] == f"ValueError: no sound in it {RAISED}"
    assert told["nowhere"]["error"].startswith("input_missing: ")
    assert done.json["blocked"] == 2


def test_people_read_failures_by_asset(computed):
    done = computed.klio("failures", "--all")

    assert done.out.startswith(f"size: 2 failed\n  broken: ValueError: no sound in it {RAISED}\n")
    assert done.out.endswith("2 outputs are blocked by them\n")


def test_people_read_what_many_failures_have_in_common(project):
    for number in range(5):
        project.clip(f"clip-{number}", "broken")
    project.clip("other", "broken")
    text = (project.folder / "clip_jobs.py").read_text()
    project.write(
        "clip_jobs.py", text.replace('"no sound in it"', 'f"{entity.id} has {id(source)}"')
    )
    project.klio("entities", "sync")
    project.klio("run")

    done = project.klio("failures")
    one = project.klio("failures", "--entity", "other")

    lines = done.out.splitlines()
    assert lines[:2] == ["size: 6 failed", f"  6 x ValueError: {{entity}} has # {RAISED}"]
    assert lines[2] == "      clip-0, clip-1, clip-2, ..."
    assert one.out.startswith("size: 1 failed\n  other: ValueError: other has ")
    assert project.klio("failures", "--json").json["groups"][0]["count"] == 6


def test_a_changed_source_makes_its_outputs_stale(computed_copy):
    computed_copy.klio("entities", "add", "new")
    computed_copy.clip("other", "another sound")

    said = computed_copy.klio("status", "--json").json["assets"]

    assert said["size"] == {"materialized": 2, "failed": 2, "missing": 1, "stale": 1}
    assert said["double"] == {"materialized": 2, "failed": 2, "missing": 1, "stale": 1}


def test_an_entity_that_is_in_no_catalogue_has_no_failures_to_show(computed):
    done = computed.klio("failures", "--entity", "broken", "--entity", "nobody")

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("catalogue 'clips': 'nobody' not in it; register")


def test_a_single_one_is_not_spoken_of_as_several(project):
    project.clip("one", "broken")
    project.klio("entities", "sync")
    project.klio("run")

    assert project.klio("status").out.endswith("\n1 entity\n")
    assert project.klio("failures").out.endswith("\n1 output is blocked by them\n")
