"""`klio gc`: what goes, what stays, and nothing before it is asked for."""

import os
import time

import dagster as dg
import pytest

from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.store import Store

OLD = ("--older-than", "0s")
NOTHING = {"objects": 0, "bytes": 0}


def aged(path, seconds: float = 3600.0) -> None:
    """Make a file look as if it was written some time ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_young_receipts_and_lists_stay(computed_copy):
    done = computed_copy.klio("gc", "--json")

    assert done.code == 0
    assert done.json["applied"] is False
    assert set(map(str, done.json["kinds"].values())) == {str(NOTHING)}


def test_nothing_is_changed_before_apply_is_given(computed_copy):
    before = computed_copy.files()

    done = computed_copy.klio("gc", *OLD, "--orphans")

    assert computed_copy.files() == before
    assert done.out.endswith("nothing is changed: add --apply to do it\n")


def test_of_old_runs_receipts_manifests_and_lists_go_and_outputs_and_records_stay(computed_copy):
    before = computed_copy.files()
    status = computed_copy.klio("status", "--json").json

    dry = computed_copy.klio("gc", *OLD, "--json").json["kinds"]
    done = computed_copy.klio("gc", *OLD, "--apply", "--json").json["kinds"]

    gone = before.keys() - computed_copy.files().keys()
    assert dry == done
    assert (done["receipts"]["objects"], done["runs"]["objects"]) == (1, 4)
    assert len(gone) == 5
    assert {path.split("/")[1] for path in gone} == {"receipts", "runs"}
    assert computed_copy.klio("status", "--json").json == status


def test_what_a_run_that_is_not_finished_names_stays(computed_copy):
    store = Store.open(str(computed_copy.folder / "data"))
    work_id = next(store.list("_klio/receipts/")).path.split("/")[2]
    claim = open_claim(store, work_id, assets=["size"])

    done = computed_copy.klio("gc", *OLD, "--apply", "--json").json["kinds"]

    assert (done["receipts"], done["runs"], done["claims"]) == (NOTHING, NOTHING, NOTHING)
    claim.close()


def test_receipts_that_the_ledger_does_not_have_yet_stay(computed_copy):
    receipts = computed_copy.folder / "data/_klio/receipts"
    line = (
        b'{"v":1,"run":"lost","attempt":1,"entity":"good","asset":"size","status":"ok",'
        b'"code_version":"1","inputs":{},"started_at":1.0,"finished_at":9e9,"cpu_s":0.0}\n'
    )
    (receipts / "lost").mkdir()
    (receipts / "lost/w.jsonl").write_bytes(line)

    computed_copy.klio("gc", *OLD, "--apply")

    assert (receipts / "lost/w.jsonl").read_bytes() == line


def test_leftovers_of_killed_writes_and_beats_without_a_claim_go(computed_copy):
    for path in ("size/good.json#1", "_klio/open/dead/beat", "clips/take#1"):
        computed_copy.write(f"data/{path}", "rest")
        aged(computed_copy.folder / "data" / path)
    computed_copy.write("data/size/other.json#1", "being written")

    done = computed_copy.klio("gc", "--apply", "--json").json["kinds"]

    left = computed_copy.files().keys()
    assert done["leftovers"] == done["claims"] == {"objects": 1, "bytes": 4}
    assert "size/good.json#1" not in left
    assert "_klio/open/dead/beat" not in left
    assert {"clips/take#1", "size/other.json#1"} <= left, "a source, and a write under way"


def test_orphans_are_outputs_of_removed_entities_and_never_files_of_others(computed_copy):
    computed_copy.klio("entities", "remove", "good", "--apply")
    computed_copy.write("data/size/other.flac", "of a codec it had before")
    computed_copy.write("data/size/README.txt", "somebody's notes")

    kept = computed_copy.klio("gc", "--apply", "--json").json["kinds"]
    done = computed_copy.klio("gc", "--orphans", "--apply", "--json").json["kinds"]

    left = computed_copy.files().keys()
    assert "orphans" not in kept
    assert done["orphans"]["objects"] == 3
    assert {"size/other.json", "double/other.json", "size/README.txt"} <= left
    assert left.isdisjoint({"size/good.json", "double/good.json", "size/other.flac"})


def test_runs_of_other_jobs_may_have_any_config(computed_copy):
    @dg.op(config_schema=str)
    def say(): ...

    @dg.job
    def other():
        say()

    with dg.DagsterInstance.from_config(str(computed_copy.home)) as instance:
        instance.create_run_for_job(other, run_config={"ops": {"say": {"config": "a text"}}})

    done = computed_copy.klio("gc", *OLD, "--json")

    assert done.code == 0, done.err


def test_an_age_that_is_none_is_refused_in_one_line(computed_copy):
    done = computed_copy.klio("gc", "--older-than", "a month")

    assert done.code == 2
    assert done.err == "--older-than: 'a month' is no age; write 12h, 30d or 4w\n"


@pytest.mark.parametrize("apply", [(), ("--apply",)], ids=["dry", "apply"])
def test_on_another_instance_nothing_is_an_orphan_and_it_is_refused(computed_copy, apply):
    before = computed_copy.files()
    computed_copy.home.rename(computed_copy.folder / "elsewhere")
    computed_copy.klio("entities", "sync")  # makes a home anew

    done = computed_copy.klio("gc", "--orphans", *apply)

    assert done.code == 2
    assert "recorded in another Dagster instance" in done.err
    assert done.err.count("\n") == 1
    assert computed_copy.files() == before
