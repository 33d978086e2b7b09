"""Takedowns: what goes, what stays, and that nobody computes it again."""

import gzip
import sqlite3

from klio_dagster.core.letter import Asked, Letter
from klio_dagster.store.dead_letter import put
from klio_dagster.store.kept import held_entities, hold
from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import listed
from tests.streaming.letters import dead

# What Dagster itself writes of a run that failed quotes the first failures; that stays.
_OF_RUNS = {"STEP_FAILURE", "PIPELINE_FAILURE"}


def naming(folder, text: bytes) -> list[str]:
    """Files below a folder whose path or content holds a text."""
    found = []
    for path in sorted(folder.rglob("*")):
        inside = str(path.relative_to(folder))
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".gz":
                data = gzip.decompress(data)
            if text in data or text in inside.encode():
                found.append(inside)
    return found


def test_nothing_is_changed_before_apply_is_given(computed_copy):
    before = computed_copy.files()

    done = computed_copy.klio("entities", "remove", "good", "--outputs")

    assert done.code == 0
    assert done.out.endswith("nothing is changed: add --apply to do it\n")
    assert computed_copy.files() == before
    assert "good" in computed_copy.klio("entities", "list").out.split()


def test_a_dry_run_tells_exactly_what_apply_removes(computed_copy):
    dry = computed_copy.klio("entities", "remove", "good", "--outputs", "--json").json
    done = computed_copy.klio("entities", "remove", "good", "--outputs", "--apply", "--json").json
    again = computed_copy.klio("entities", "remove", "good", "--outputs", "--json").json

    assert dry["outputs"] == 2
    assert dry["output_bytes"] == len('{"bytes":5}') + len('{"bytes":10}')
    assert dry["lines"] == 3  # two receipts, one line of the manifest
    assert dry["messages"] == 0
    assert dry["by_asset"].keys() >= {"size", "double"}
    assert dry["partitions"] == {"clips": 1}
    assert {**dry, "applied": True} == done
    assert (again["outputs"], again["lines"], again["events"]) == (0, 0, 0)
    assert again["partitions"] == {"clips": 0}


def test_nothing_but_the_tombstone_names_it_in_the_store_and_in_the_ledger(computed_copy):
    done = computed_copy.klio("entities", "remove", "nowhere", "--outputs", "--apply")

    assert done.code == 0, done.err
    store = computed_copy.folder / "data"
    assert naming(store, b"nowhere") == ["_klio/removed/nowhere"]
    with sqlite3.connect(computed_copy.home / "history/runs/index.db") as index:
        for table in ("event_logs", "asset_event_tags", "asset_keys", "dynamic_partitions"):
            named = [
                row for row in index.execute(f"SELECT * FROM {table}") if "nowhere" in str(row)
            ]
            assert [row for row in named if not _OF_RUNS.intersection(row)] == [], table


def test_its_kept_messages_go_and_are_counted(computed_copy):
    store = Store.open(str(computed_copy.folder / "data"))
    for name in ("good", "other"):
        put(store, dead(name, group="sizes"))
        asked = Asked(entity=name, letters=(Letter(data=b"1"), Letter(data=b"2")))
        hold(store, "sizes", "messages", asked)

    dry = computed_copy.klio("entities", "remove", "good")
    done = computed_copy.klio("entities", "remove", "good", "--apply", "--json").json

    assert ["messages", "3"] in [line.split() for line in dry.out.splitlines()]
    assert done["messages"] == sum(done["message_files"].values()) == 3
    assert held_entities(store, "sizes").keys() == {"other"}
    assert [each.entity for each in listed(store)] == ["other"]


def test_others_keep_everything(computed_copy):
    before = {k: v for k, v in computed_copy.files().items() if not k.startswith("_klio")}

    computed_copy.klio("entities", "remove", "good", "--outputs", "--apply")

    gone = before.keys() - computed_copy.files().keys()
    assert gone == {"size/good.json", "double/good.json"}
    status = computed_copy.klio("status", "--json").json
    assert status["entities"] == 3
    assert status["assets"]["size"] == {"materialized": 1, "failed": 2, "missing": 0, "stale": 0}
    assert computed_copy.klio("run", "other", "--json").json["assets"]["size"]["skipped"] == 1


def test_outputs_stay_unless_they_are_asked_for(computed_copy):
    computed_copy.klio("entities", "remove", "good", "--apply")

    assert "size/good.json" in computed_copy.files()


def test_a_run_that_names_it_again_fails_it_once_as_removed(computed_copy):
    computed_copy.klio("entities", "remove", "good", "--outputs", "--apply")

    done = computed_copy.klio("run", "good", "other", "--json")

    assert done.code == 1
    assert [(f["entity"], f["asset"]) for f in done.json["failures"]] == [("good", None)]
    assert done.json["failures"][0]["error"].startswith("removed: it was taken down")
    assert "size/good.json" not in computed_copy.files()
    explained = computed_copy.klio("explain", "good", "--json").json["assets"]["size"]
    assert (explained["decision"], explained["reason"]) == ("refuse", "removed")


def test_sync_and_add_leave_it_out_and_say_so(computed_copy):
    computed_copy.klio("entities", "remove", "good", "--apply")

    synced = computed_copy.klio("entities", "sync")
    added = computed_copy.klio("entities", "add", "good", "new")

    assert synced.code == 0
    assert synced.err.startswith("skipped: clips/{entity}.raw: good: it was taken down")
    assert added.code == 1
    assert added.err.startswith("refused: good: it was taken down")
    listed = computed_copy.klio("entities", "list").out.split()
    assert sorted(listed) == ["broken", "new", "nowhere", "other"]


def test_restored_it_is_computed_as_if_it_had_never_been_there(computed_copy):
    computed_copy.klio("entities", "remove", "good", "--outputs", "--apply")

    restored = computed_copy.klio("entities", "restore", "good", "other", "--json")
    computed_copy.klio("entities", "sync")
    done = computed_copy.klio("run", "good", "--json")

    assert restored.json == {"restored": ["good"], "not_removed": 1}
    assert done.code == 0
    assert done.json["assets"]["double"]["materialized"] == 1


def test_an_id_that_is_nowhere_is_a_mistake(computed_copy):
    done = computed_copy.klio("entities", "remove", "god", "--apply")

    assert done.code == 2
    assert done.err.startswith("catalogue: god not in it; ")
    assert done.err.count("\n") == 1


def test_on_another_instance_nothing_is_removed(computed_copy):
    before = computed_copy.files()
    computed_copy.home.rename(computed_copy.folder / "elsewhere")
    computed_copy.klio("entities", "sync")  # makes a home anew

    done = computed_copy.klio("entities", "remove", "good", "--outputs", "--apply")

    assert done.code == 2
    assert "recorded in another Dagster instance" in done.err
    assert done.err.count("\n") == 1
    assert computed_copy.files() == before
