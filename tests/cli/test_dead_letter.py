"""`klio dead-letter`: messages that were given up, as a person sees, sends back and drops them."""

import json
import os
import pty
import subprocess
import sys

import pytest

from klio_dagster.core.letter import Letter
from klio_dagster.streaming.dead_letter import listed
from tests.cli.conftest import ROOT
from tests.cli.given_up import keep, store_of
from tests.streaming.letters import dead


def test_the_list_says_what_was_given_up_and_why_the_newest_first(streaming):
    keep(streaming, "old", at=1_000_000_000.0)
    bad = keep(streaming, "x", entity=None, reason="undecodable", error="wire type 7", attempts=3)

    done = streaming.klio("dead-letter", "list")

    heading, first, second, _, counts = done.out.splitlines()
    assert done.code == 0
    assert heading.split() == ["id", "given", "up", "reason", "entity", "attempts", "error"]
    assert first.startswith(f"{bad.id[:12]}  2023-11-1")
    assert first.split()[3:] == ["undecodable", "-", "3", "wire", "type", "7"]
    assert second.split()[3:6] == ["failed", "old", "1"]
    assert counts == "2 dead letters: failed 1, undecodable 1"


def test_without_any_the_list_says_so(streaming):
    assert streaming.klio("dead-letter", "list").out == "no dead letters\n"
    assert streaming.klio("dead-letter", "list", "--json").json == {
        "dead_letters": [],
        "unreadable": [],
    }


def test_a_reason_that_none_has_is_told_from_no_dead_letters(streaming):
    keep(streaming, "a")

    assert streaming.klio("dead-letter", "list", "--reason", "typo").out == (
        "no such dead letters among 1 dead letter\n"
    )


@pytest.mark.parametrize(
    ("options", "entities"),
    [
        pytest.param(["--reason", "run_failed"], ["b"], id="reason"),
        pytest.param(["--entity", "a"], ["a"], id="entity"),
        pytest.param(["--group", "gone"], ["c"], id="a group that is no more"),
        pytest.param(["--limit", "1"], ["c"], id="the newest"),
        pytest.param([], ["a", "b", "c"], id="all"),
    ],
)
def test_programs_read_those_they_ask_for(streaming, options, entities):
    keep(streaming, "a")
    keep(streaming, "b", reason="run_failed")
    last = keep(streaming, "c", group="gone", at=dead().at + 1)

    told = streaming.klio("dead-letter", "list", "--json", *options).json

    assert sorted(each["entity"] for each in told["dead_letters"]) == entities
    assert last.head() in told["dead_letters"] or "c" not in entities


def test_of_many_the_list_shows_a_screen_and_counts_the_rest(streaming):
    keep(streaming, *(f"e{number}" for number in range(60)))

    lines = streaming.klio("dead-letter", "list").out.splitlines()

    assert len(lines) == 1 + 50 + 1 + 2
    assert lines[-2:] == [
        "60 dead letters: failed 60",
        "shown are the 50 newest; --limit N shows more",
    ]


def test_what_cannot_be_read_is_one_line_and_exit_code_1(streaming):
    keep(streaming, "good")
    store_of(streaming).put("_klio/dead-letter/sizes/torn.json", b'{"v": 1')

    people = streaming.klio("dead-letter", "list")
    programs = streaming.klio("dead-letter", "list", "--json")

    assert (people.code, programs.code) == (1, 1)
    assert "1 dead letter: failed 1" in people.out
    assert people.err.count("\n") == 1
    assert "torn or no dead letter" in people.err
    assert "`klio dead-letter drop torn` removes it" in people.err
    assert [each["id"] for each in programs.json["unreadable"]] == ["torn"]


def test_a_terminal_obeys_nothing_that_a_message_says(streaming):
    evil = "\x1b[2J\nall is well\u202e"
    bad = keep(
        streaming,
        "x",
        entity=evil,
        reason=evil,
        error=evil,
        letter=Letter(data=evil.encode(), attributes={evil: evil}, message_id=evil),
    )

    shown = [streaming.klio("dead-letter", *words) for words in (["list"], ["show", bad.id])]

    for done in shown:
        assert not {"\x1b", "\u202e"}.intersection(done.out)
        assert "\nall is well" not in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["show", "f00d"], id="show what is not there"),
        pytest.param(["show", "torn"], id="show what is torn"),
        pytest.param(["show", "torn", "--raw", "--json"], id="raw and json"),
        pytest.param(["replay"], id="replay nothing"),
        pytest.param(["replay", "f00d"], id="replay what is not there"),
        pytest.param(["replay", "f00d", "--all"], id="ids and all"),
        pytest.param(["replay", "--all", "--sensor", "mesages"], id="to no sensor"),
        pytest.param(
            ["replay", "--all", "--sensor", "of_something_else"], id="to no sensor for messages"
        ),
        pytest.param(["replay", "--all", "--group", "size"], id="of no group"),
        pytest.param(["drop", "f00d"], id="drop what is not there"),
        pytest.param(["drop", "--group", "sizes"], id="drop nothing"),
        pytest.param(["drop", "--all"], id="drop all and nobody can be asked"),
        pytest.param(["list", "--group", "size"], id="list no group"),
        pytest.param(["list", "--limit", "0"], id="list none"),
    ],
)
def test_a_mistake_is_one_line_with_exit_code_2_and_changes_nothing(streaming, arguments):
    keep(streaming, "a")
    store_of(streaming).put("_klio/dead-letter/sizes/torn.json", b"{")
    before = streaming.files()

    done = streaming.klio("dead-letter", *arguments)

    assert done.code == 2
    assert (done.out, done.err.count("\n")) == ("", 1)
    assert streaming.files() == before


# ------------------------------------------------------------------ replay


def test_messages_go_back_to_the_sensor_they_came_through(streaming):
    one, other = keep(streaming, "one"), keep(streaming, "other", sensor="uploads")
    keep(streaming, "stays")

    first = streaming.klio("dead-letter", "replay", one.id[:12], other.id)
    again = streaming.klio("dead-letter", "replay", one.id, "--json")

    assert (first.code, again.code) == (0, 0)
    assert sorted(first.out.splitlines()) == [
        "1 sent back: the next tick of messages takes them in",
        "1 sent back: the next tick of uploads takes them in",
    ]
    assert again.json == {"sent": {}, "already_sent": 1, "failed": {}}
    assert [each.entity for each in listed(store_of(streaming))] == ["stays"]
    sent = {path for path in streaming.files() if "/replay/" in path}
    assert sent == {
        f"_klio/replay/messages/{one.id}.json",
        f"_klio/replay/uploads/{other.id}.json",
    }


def test_a_reason_names_many_at_once(streaming):
    keep(streaming, "a", "b", reason="run_failed")
    keep(streaming, "c")

    told = streaming.klio("dead-letter", "replay", "--reason", "run_failed", "--json").json

    assert told == {"sent": {"messages": 2}, "already_sent": 0, "failed": {}}
    assert [each.entity for each in listed(store_of(streaming))] == ["c"]


def test_an_entity_without_a_message_goes_to_a_sensor_of_its_group_or_is_run(streaming):
    keep(streaming, "a", sensor="")
    alone = keep(streaming, "b", sensor="", group="others")

    done = streaming.klio("dead-letter", "replay", "--all")

    assert done.code == 1
    assert done.out == "1 sent back: the next tick of messages takes them in\n"
    assert done.err == (
        f"dead letter {alone.id}: it came through no sensor; `klio run b` is the way\n"
    )
    assert [each.entity for each in listed(store_of(streaming))] == ["b"]


def test_what_came_through_a_sensor_that_is_gone_stays_until_another_is_named(streaming):
    gone = keep(streaming, "a", sensor="before")

    refused = streaming.klio("dead-letter", "replay", "--all")
    named = streaming.klio("dead-letter", "replay", gone.id, "--sensor", "messages")

    assert refused.code == 1
    assert refused.err.count("\n") == 1
    assert "'before' is not in the project any more; name the one" in refused.err
    assert named.code == 0
    assert f"_klio/replay/messages/{gone.id}.json" in streaming.files()


def test_what_cannot_be_read_does_not_stop_the_others(streaming):
    keep(streaming, "a")
    store_of(streaming).put("_klio/dead-letter/sizes/torn.json", b"{")

    done = streaming.klio("dead-letter", "replay", "--all", "--json")

    assert done.code == 1
    assert done.json["sent"] == {"messages": 1}
    assert done.json["failed"].keys() == {"torn"}


def test_with_nothing_there_all_is_nothing(streaming):
    assert streaming.klio("dead-letter", "replay", "--all").out == "no dead letters\n"
    assert streaming.klio("dead-letter", "drop", "--all").out == "nothing is removed\n"


# ------------------------------------------------------------------ drop


def test_named_messages_are_removed_at_once_and_also_what_is_torn(streaming):
    one = keep(streaming, "one")
    keep(streaming, "stays")
    store_of(streaming).put("_klio/dead-letter/sizes/torn.json", b"{")

    done = streaming.klio("dead-letter", "drop", one.id[:12], "torn")

    assert (done.code, done.out) == (0, "2 dead letters removed\n")
    assert [each.entity for each in listed(store_of(streaming))] == ["stays"]


def test_many_are_removed_once_somebody_says_yes(streaming):
    keep(streaming, "a", "b")
    keep(streaming, "c", reason="undecodable")

    refused = streaming.klio("dead-letter", "drop", "--reason", "failed")
    done = streaming.klio("dead-letter", "drop", "--reason", "failed", "--yes", "--json")

    assert refused.code == 2
    assert refused.err == (
        "dead-letter drop: 2 dead letters would be removed for good; add --yes to remove them\n"
    )
    assert done.json == {"dropped": 2}
    assert [each.entity for each in listed(store_of(streaming))] == ["c"]


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)], ids=["no", "yes"])
def test_on_a_terminal_it_asks(streaming, answer, left):
    keep(streaming, "a")
    ours, theirs = pty.openpty()

    process = subprocess.Popen(
        [sys.executable, "-m", "klio_dagster.cli.main", "dead-letter", "drop", "--all"],
        cwd=streaming.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"{answer}\n".encode())
    out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)

    assert process.returncode == 0
    assert "remove 1 dead letter for good? [y/N]:" in out + err
    assert len(list(listed(store_of(streaming)))) == left


def test_files_of_somebody_stay_when_all_are_dropped(streaming):
    keep(streaming, "a")
    store_of(streaming).put("_klio/dead-letter/sizes/notes.txt", b"call Anna")

    streaming.klio("dead-letter", "drop", "--all", "--yes")

    assert json.dumps(sorted(streaming.files())).count("dead-letter") == 1
