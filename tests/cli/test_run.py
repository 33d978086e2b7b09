"""`klio run`: what it says, its exit codes, and that its run is one Dagster knows."""

import json
import os
import signal
import time

import dagster as dg
import psutil
import pytest

from klio_dagster.cli.asking import Asked
from tests.cli.conftest import RAISED
from tests.kill.processes import still_alive

NO_QUEUE = """
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
"""


def test_the_object_has_the_documented_form_and_the_second_run_skips_what_is_done(project):
    project.clip("good")
    project.clip("broken", "broken")
    project.klio("entities", "sync")

    first, second = project.klio("run", "--json"), project.klio("run", "--json")

    assert (first.code, second.code) == (1, 1)
    assert (first.err, second.err) == ("", "")
    said = first.json
    counts = ["run_id", "seconds", "assets", "failures", "blocked"]
    assert list(said) == [*counts, "reasons", "checks", "spent"]
    assert said["assets"] == {
        "size": {"materialized": 1, "skipped": 0, "failed": 1, "waiting": 0},
        "double": {"materialized": 1, "skipped": 0, "failed": 1, "waiting": 0},
    }
    assert said["failures"] == [
        {"entity": "broken", "asset": "size", "error": f"ValueError: no sound in it {RAISED}"}
    ]
    assert said["blocked"] == 1
    assert said["reasons"]["double"] == {"run": {"upstream": 2}}
    assert said["spent"]["size"]["outputs"] == 2
    assert second.json["assets"]["double"] == {
        "materialized": 0,
        "skipped": 1,
        "failed": 1,
        "waiting": 0,
    }


def test_a_run_in_which_nothing_fails_ends_with_0(computed):
    done = computed.klio("run", "good", "--force")

    assert done.code == 0
    assert "size               1        0       0        0" in done.out
    assert "printed by" not in done.out + done.err


def test_people_see_what_failed_and_where_the_full_list_is(computed):
    done = computed.klio("run", "broken")

    assert done.code == 1
    assert (
        f"1 failed, 1 blocked by them:\n  broken size: ValueError: no sound in it {RAISED}\n"
        in done.out
    )
    path = done.out.partition("full list: ")[2].split()[0]
    with open(path) as lines:
        assert json.loads(lines.read())["entity"] == "broken"


def test_an_unknown_id_stops_everything_before_a_run_is_made(computed):
    runs = len(computed.runs())

    done = computed.klio("run", "good", "nobody", "--force")

    assert done.code == 2
    assert done.err.startswith("catalogue 'clips': 'nobody' not in it; register")
    assert len(computed.runs()) == runs


def test_an_id_that_breaks_the_rules_is_one_failure_and_the_others_are_done(computed):
    done = computed.klio("run", "good", "x...y", "--json")

    assert done.code == 1
    assert done.json["failures"][0]["entity"] == "x...y"
    assert "invalid_id" in done.json["failures"][0]["error"]
    assert done.json["assets"]["size"]["skipped"] == 1


def test_only_what_is_selected_is_computed(computed):
    done = computed.klio("run", "good", "--select", "double", "--force", "--json")

    assert done.code == 0
    assert done.json["assets"] == {
        "double": {"materialized": 1, "skipped": 0, "failed": 0, "waiting": 0}
    }


def test_its_run_is_one_that_dagster_can_execute_again(computed):
    said = computed.klio("run", "good", "--json").json

    with computed.instance() as instance:
        run = instance.get_run_by_id(said["run_id"])
    assert run is not None
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.job_name == "__ASSET_JOB"
    assert run.run_config["ops"] == {"sizes": {"config": {"entities": ["good"]}}}
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == "definitions"
    assert run.job_code_origin is not None
    assert run.tags["klio/entities"] == "1"
    assert run.tags["dagster/defer_asset_events"] == "true"
    assert run.tags["dagster/retry_on_asset_or_op_failure"] == "false"
    assert run.asset_selection == {dg.AssetKey("size"), dg.AssetKey("double")}


def test_what_user_code_prints_is_in_the_compute_logs_of_the_run(computed):
    said = computed.klio("run", "good", "--force", "--json").json

    logs = (computed.home / "storage" / said["run_id"] / "compute_logs").glob("*.out")
    text = "".join(path.read_text() for path in logs)
    assert "printed by user code" in text
    assert "printed by C" in text


def test_thousands_of_ids_go_into_a_file_and_not_into_the_run_config(project):
    ids = "".join(f"clip-{number}\n" for number in range(1001))
    project.klio("entities", "add", "--from-file", "-", stdin=ids)

    done = project.klio("run", "--from-file", "-", "--json", stdin=ids)

    config = project.runs()[0].run_config["ops"]["sizes"]["config"]
    request = (project.folder / "data" / config["manifest"]).read_text().splitlines()
    assert done.json["assets"]["size"]["failed"] == 1001
    assert list(config) == ["manifest"]
    assert config["manifest"].startswith("_klio/requests/")
    assert [json.loads(line)["entity"] for line in request] == ids.split()


def test_groups_run_one_after_the_other_upstream_first(tmp_path):
    from tests.cli.conftest import Project

    project = Project(tmp_path / "two", groups="labels, sizes")
    project.clip("good")
    project.klio("entities", "sync", "--select", "size")

    done = project.klio("run", "--json")

    assert done.code == 0, done.err
    assert list(done.json["assets"]) == ["size", "double", "label"]
    assert all(counts["materialized"] == 1 for counts in done.json["assets"].values())
    assert done.json["run_ids"][-1] == done.json["run_id"]
    assert [run.run_id for run in reversed(project.runs())] == done.json["run_ids"]


def test_launched_runs_wait_in_dagsters_queue(computed):
    done = computed.klio("run", "good", "--launch", "--json")

    with computed.instance() as instance:
        run = instance.get_run_by_id(done.json["run_ids"][0])
    assert done.code == 0
    assert run is not None
    assert run.status is dg.DagsterRunStatus.QUEUED


def test_without_a_queue_nothing_is_launched_and_no_run_is_left_behind(project):
    project.write(".klio/dagster.yaml", NO_QUEUE)
    project.klio("entities", "add", "one")

    done = project.klio("run", "--launch", "--json")

    assert done.code == 2
    assert done.err.startswith("klio run --launch: this instance has no run queue; ")
    assert project.runs() == []
    assert done.json == {"run_ids": [], "error": done.err.strip()}


def test_a_second_run_on_what_a_live_one_computes_waits_as_long_as_it_is_told_to(project):
    running = _slow_run(project)

    second = project.klio("run", "--json", "--max-wait", "0.5")
    planned = project.klio("plan", "--json").json["assets"]
    explained = project.klio("explain", "slow", "--json").json["assets"]["size"]
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)

    assert second.code == 1
    assert second.json["assets"]["size"] == {
        "materialized": 0,
        "skipped": 1,
        "failed": 0,
        "waiting": 1,
    }
    assert planned["size"]["wait"] == {"in_flight": 1}
    assert planned["size"]["skip"] == {"up_to_date": 1}
    assert explained["reason"] == "in_flight"
    assert project.runs()[-1].run_id in explained["facts"][0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_ctrl_c_ends_the_run_and_keeps_what_was_finished(project, number):
    running = _slow_run(project)
    below = psutil.Process(running.pid).children(recursive=True)

    running.send_signal(number)
    out, err = running.communicate(timeout=10)

    assert still_alive(below, within_s=1) == []
    assert running.returncode == 130
    assert json.loads(out)["error"] == err.strip()
    assert (
        err.lstrip("\n") == "klio: interrupted; what was finished is recorded, run again to go on\n"
    )
    assert project.runs()[0].status is dg.DagsterRunStatus.CANCELED
    assert not list((project.folder / "data/_klio/open").glob("*/claim.json"))
    assert project.klio("plan", "--json").json["assets"]["size"]["skip"] == {"up_to_date": 1}


def test_what_a_killed_run_finished_counts_before_anything_records_it(project):
    running = _slow_run(project)
    running.kill()
    running.communicate()

    said = project.klio("status", "--json").json["assets"]

    assert said["double"]["materialized"] == 1
    assert said["size"] == {"materialized": 1, "failed": 0, "missing": 1, "stale": 0}


def test_an_id_that_is_no_unicode_is_refused_like_any_other(project):
    done = project.klio("run", os.fsdecode(b"\xff"), "--json")

    assert done.code == 1
    assert done.json["failures"][0]["error"].startswith("invalid_id: ")


def test_a_run_terminated_in_the_ui_ends(project):
    running = _slow_run(project)

    with project.instance() as instance:
        run = instance.get_runs()[0]
        # What the run launcher does for a run that it did not start.
        instance.report_run_canceling(run)
    running.communicate(timeout=60)

    assert running.returncode == 130
    assert project.runs()[0].status is dg.DagsterRunStatus.CANCELED


def test_asking_for_nothing_in_particular_means_all():
    assert (Asked().named, Asked().state) == (None, "all")


def _slow_run(project):
    """A run that has finished one clip and is busy with another."""
    project.clip("good")
    project.clip("slow", "slow")
    project.klio("entities", "sync")
    running = project.start("run", "--json")
    output = project.folder / "data/double/good.json"
    deadline = time.monotonic() + 60
    while not output.exists() and time.monotonic() < deadline:
        assert running.poll() is None, os.strerror(1)
        time.sleep(0.1)
    return running
