"""`klio dead-letter show`: one message with everything that is known of it."""

import re
from dataclasses import replace

import pytest

from klio_dagster.core.letter import Letter
from klio_dagster.message import JobId, Limited, encode, extended, new_message, with_payload
from tests.cli.given_up import keep
from tests.streaming.letters import dead


def test_a_message_is_shown_with_everything_that_is_known_of_it(streaming):
    letter = Letter(
        data="größe\tzwölf\nzeile".encode(),
        attributes={"origin": "ingest"},
        message_id="77",
        published_at=dead().at,
    )
    bad = keep(streaming, "a b", letter=letter, attempts=2)

    done = streaming.klio("dead-letter", "show", bad.id[:8])

    assert done.code == 0
    facts = [re.split("  +", line) for line in done.out.splitlines()[1:11]]
    assert [name for name, _ in facts[6:9]] == ["given up", "message id", "published"]
    assert facts[:6] + facts[9:] == [
        ["reason", "failed"],
        ["error", "ValueError: no sound in it"],
        ["entity", "a b"],
        ["group", "sizes"],
        ["sensor", "messages"],
        ["attempts", "2"],
        ["attribute origin", "ingest"],
    ]
    assert re.fullmatch(r"2023-11-1\d .* \d+ d ago", facts[6][1])
    assert done.out.splitlines()[0] == bad.id
    assert done.out.endswith("\n20 bytes\n  größe\\tzwölf\n  zeile\n")


def test_bytes_that_are_no_text_are_dumped_and_raw_gives_all_of_them(streaming):
    data = bytes(range(256)) * 2
    bad = keep(streaming, "x", letter=Letter(data=data))

    shown = streaming.klio("dead-letter", "show", bad.id).out
    with streaming.start("dead-letter", "show", bad.id, "--raw") as process:
        raw = process.stdout.buffer.read()

    assert raw == data
    assert "  0040  40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO\n" in shown
    assert shown.endswith("... and 256 bytes more: --raw prints all\n")


def test_a_klio_message_is_shown_with_what_it_says(streaming):
    job, upstream = JobId("project-a", "mel"), JobId("project-b", "recording")
    to = Limited((upstream, job), trigger_children_of=job)
    message = new_message("track-1", force=True, to=to)
    message = extended(with_payload(message, b"12345"), upstream, 1_700_000_000.0)
    bad = keep(streaming, "track-1", letter=Letter(data=encode(message)))

    shown = streaming.klio("dead-letter", "show", bad.id).out
    told = streaming.klio("dead-letter", "show", bad.id, "--json").json

    said = [re.split("  +", line) for line in shown.split("\n\n")[1].splitlines()]
    assert said == [
        ["Klio message", "version 2, force"],
        ["of", "track-1"],
        ["for", "project-b::recording, project-a::mel; for anyone from project-a::mel on"],
        ["went through", "project-b::recording"],
        ["payload", "5 bytes"],
    ]
    assert told["message"] == {
        "version": 2,
        "entity_id": "track-1",
        "force": True,
        "ping": False,
        "recipients": ["project-b::recording", "project-a::mel"],
        "trigger_children_of": "project-a::mel",
        "audit_log": [{"job": "project-b::recording", "at": 1_700_000_000.0}],
        "payload_bytes": 5,
    }


@pytest.mark.parametrize(
    ("data", "said", "recipients"),
    [
        pytest.param(encode(new_message("a")), "anyone", None, id="anyone"),
        pytest.param(encode(replace(new_message("a"), recipients=None)), "nobody", [], id="nobody"),
    ],
)
def test_whom_a_klio_message_is_for_is_said(streaming, data, said, recipients):
    bad = keep(streaming, "a", letter=Letter(data=data))

    shown = streaming.klio("dead-letter", "show", bad.id).out
    told = streaming.klio("dead-letter", "show", bad.id, "--json").json

    assert re.search(f"^for +{said}$", shown, re.MULTILINE)
    assert told["message"]["recipients"] == recipients


def test_what_another_sender_meant_is_shown_as_the_message_that_would_be_passed_on(streaming):
    letter = Letter(data=b'{"id": "a"}', forward=encode(new_message("a")))
    bad = keep(streaming, "a", letter=letter)

    shown = streaming.klio("dead-letter", "show", bad.id).out

    assert "\npassed on as  version 2\n" in shown
    assert shown.endswith('  {"id": "a"}\n')


def test_programs_read_a_whole_message(streaming):
    bad = keep(streaming, "x", letter=Letter(data=b"\xff", attributes={"a": "b"}, message_id="7"))

    told = streaming.klio("dead-letter", "show", bad.id, "--json").json

    assert told.items() >= {**bad.head(), "message_id": "7", "data": "/w=="}.items()
    assert told["attributes"] == {"a": "b"}
    assert told["message"] is None
