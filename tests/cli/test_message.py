"""`klio message publish`: what is sent, what is refused, and what is said of failures."""

import io
import json
import tracemalloc

import pytest

from klio_dagster.cli import message as command
from klio_dagster.cli.main import main
from klio_dagster.cli.publishing import CheckedIds, checked_ids, published
from klio_dagster.errors import PublishError, PubSubError
from klio_dagster.pubsub.pull import Subscription
from klio_dagster.pubsub.settings import Settings

TOPIC = "projects/test-project/topics/tracks"
GIVEN = ["--topic", TOPIC, "--job", "test-project::my-job"]
ENTITY = "s0m3_tr4ck_1d"

ANYONE = "0a0432020a00120f1a0d73306d335f747234636b5f31641802"
FOR_MY_JOB = (
    "0a1c321a12180a160a066d792d6a6f62120c746573742d70726f6a656374120f1a0d73306d335f747234636b5f3164"
    "1802"
)
V1_FOR_MY_JOB = (
    "0a180a160a066d792d6a6f62120c746573742d70726f6a656374120f0a0d73306d335f747234636b5f31641801"
)

# Acceptance case 14 of Klio, and the bare id.
PUBLISHED = [
    pytest.param([], FOR_MY_JOB, id="nothing said: bottom-up"),
    pytest.param(["--bottom-up"], FOR_MY_JOB, id="bottom-up"),
    pytest.param(["-t"], ANYONE, id="top-down"),
    pytest.param(["-t", "-f"], "0a06200132020a00" + ANYONE[12:], id="top-down, force"),
    pytest.param(["-t", "-p"], "0a06280132020a00" + ANYONE[12:], id="top-down, ping"),
    pytest.param(
        ["-t", "--message-version", "1"],
        "0a00120f0a0d73306d335f747234636b5f31641801",
        id="version 1, top-down",
    ),
    pytest.param(["-b", "--message-version", "1"], V1_FOR_MY_JOB, id="version 1, bottom-up"),
    pytest.param(["-n"], ENTITY.encode().hex(), id="the bare id"),
]


class Recorder:
    """Takes messages, except those about certain entities; from a certain number on, none."""

    def __init__(self, settings=None, refused=(), most=10**9):
        self.refused, self.most = [each.encode() for each in refused], most
        self.sent, self.sizes = [], []

    def publish(self, topic, messages):
        self.sizes.append(len(messages))
        error = PubSubError("a limit was reached", f"topic '{topic}'", "send less")
        failed = {}
        for at, each in enumerate(messages):
            if len(self.sent) >= self.most or any(name in each.data for name in self.refused):
                failed[at] = error
            else:
                self.sent.append((topic, each.data))
        if failed:
            what = f"{len(failed)} of {len(messages)} messages were not published"
            raise PublishError(what, f"topic '{topic}'", "send less", failed=failed)


@pytest.fixture
def recorder(monkeypatch):
    made = Recorder()
    monkeypatch.setattr(command, "Publisher", lambda settings: made)
    return made


@pytest.mark.parametrize(("flags", "data"), PUBLISHED)
def test_a_message_is_byte_for_byte_the_one_klio_publishes(flags, data, recorder, capsys):
    code = main(["message", "publish", ENTITY, *GIVEN, *flags])

    assert (code, capsys.readouterr().out) == (0, f"1 message published to {TOPIC}\n")
    assert [(topic, sent.hex()) for topic, sent in recorder.sent] == [(TOPIC, data)]


@pytest.mark.parametrize("flags", [["--top-down"], ["--non-klio"]])
def test_who_addresses_nobody_needs_no_job(flags, recorder):
    assert main(["message", "publish", "a", "--topic", TOPIC, *flags]) == 0
    assert len(recorder.sent) == 1


def test_a_short_topic_lies_in_the_project_of_the_environment(recorder, monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test-project")

    main(["message", "publish", "a", "-n", "--topic", "tracks"])

    assert recorder.sent == [(TOPIC, b"a")]


def test_the_ids_of_a_file_follow_those_of_the_command_line(recorder, tmp_path):
    file = tmp_path / "ids.txt"
    file.write_bytes("\ufeffb\r\n\n  \n é/1 \nb\nlast".encode())

    code = main(["message", "publish", "a", "--from-file", str(file), "-n", "--topic", TOPIC])

    assert code == 0
    assert [data.decode() for _, data in recorder.sent] == ["a", "b", " é/1 ", "b", "last"]


def test_refused_ids_are_told_with_their_lines_before_anything_is_sent(recorder, tmp_path, capsys):
    file = tmp_path / "ids.txt"
    file.write_bytes(b"good\n\nbad\tone\n\xff\n" + b"x" * 9_000 + b"\na...b\n")

    code = main(["message", "publish", "--from-file", str(file), *GIVEN])

    assert (code, recorder.sent) == (2, [])
    assert capsys.readouterr().err == (
        f"file '{file}': 4 ids are refused (line 3: it contains a control character,"
        " line 4: it is not UTF-8, line 5: it has more than 256 bytes of UTF-8,"
        " line 6: it contains '...', which Dagster reads as a range of partitions);"
        " mend what is refused; nothing was published\n"
    )


def test_of_many_refused_ids_the_first_are_told(recorder, capsys):
    code = main(["message", "publish", *["a\nb"] * 12, *GIVEN])

    said = capsys.readouterr().err
    assert (code, recorder.sent) == (2, [])
    assert said.count("'a\\nb': it contains a control character") == 10
    assert "12 ids are refused" in said
    assert "and 2 more" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["a", *GIVEN, "-t", "-b"], "exclude each other", id="both modes"),
        pytest.param(["a", *GIVEN, "-n", "-f"], "carry no --force", id="a bare id, forced"),
        pytest.param(["a", *GIVEN, "-n", "-p"], "carry no --force, --ping", id="and pinged"),
        pytest.param(["a", *GIVEN, "-n", "-b"], "or --bottom-up", id="and bottom-up"),
        pytest.param(GIVEN, "no ids; name them or use --from-file", id="no ids"),
        pytest.param(["a", "--topic", TOPIC, "--job", "x"], "of the form PROJECT::JOB", id="job"),
        pytest.param(["a", *GIVEN, "--topic", "a/b"], "no name that Pub/Sub takes", id="topic"),
        pytest.param(["a", "-n", "--topic", "abc"], "its project is not known", id="project"),
        pytest.param(
            ["a"],
            "name --topic and --job",
            id="neither topic nor job",
        ),
        pytest.param(["a", "--topic", TOPIC], "name --topic and --job", id="no job"),
        pytest.param(["a", "-t"], "name --topic", id="no topic"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    arguments, said, recorder, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # no project: none of its settings must reach other tests

    code = main(["message", "publish", *arguments])

    shown = capsys.readouterr().err
    assert (code, recorder.sent) == (2, [])
    assert said in shown
    assert shown.count("\n") == 1


def test_an_empty_file_is_refused(recorder, tmp_path, capsys):
    file = tmp_path / "ids.txt"
    file.write_bytes(b"\n \n")

    assert main(["message", "publish", "--from-file", str(file), *GIVEN]) == 2
    assert "there is no id in it" in capsys.readouterr().err


def test_what_was_not_published_is_listed_and_the_exit_code_is_1(monkeypatch, capsys):
    monkeypatch.setattr(command, "Publisher", lambda settings: Recorder(refused=["bad"]))

    code = main(["message", "publish", "a", "bad-1", "b", "bad-2", *GIVEN])

    said = capsys.readouterr()
    assert (code, said.out) == (1, f"2 messages published to {TOPIC}\n")
    assert said.err == (
        f"not published: bad-1: topic '{TOPIC}': a limit was reached; send less\n"
        f"not published: bad-2: topic '{TOPIC}': a limit was reached; send less\n"
    )


def test_json_says_the_same_in_one_object(monkeypatch, capsys):
    monkeypatch.setattr(command, "Publisher", lambda settings: Recorder(refused=["bad"]))

    code = main(["message", "publish", "a", "bad", *GIVEN, "--json"])

    said = capsys.readouterr()
    error = f"topic '{TOPIC}': a limit was reached; send less"
    assert (code, said.err) == (1, "")
    assert json.loads(said.out) == {
        "topic": TOPIC,
        "published": 1,
        "failed": [{"entity": "bad", "error": error}],
    }


def test_where_nothing_is_taken_the_error_is_all_that_is_said(monkeypatch, capsys):
    monkeypatch.setattr(command, "Publisher", lambda settings: Recorder(most=0))

    code = main(["message", "publish", "a", "b", *GIVEN])

    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err == f"topic '{TOPIC}': 2 of 2 messages were not published; send less\n"


def test_once_none_of_thousands_is_taken_the_rest_is_not_tried():
    lines = io.BytesIO(b"".join(b"%d\n" % number for number in range(20_000)))
    recorder = Recorder(most=5_000)

    with checked_ids([], lines) as ids:
        failed = list(published(recorder, TOPIC, ids, str.encode, lambda progress: None))

    assert [entity for entity, _ in failed] == [str(number) for number in range(5_000, 20_000)]
    assert recorder.sizes == [4_000, 4_000, 4_000]


def test_progress_ends_with_all_of_them():
    told = []
    lines = io.BytesIO(b"".join(b"%d\n" % number for number in range(9_000)))

    with checked_ids(["x"], lines) as ids:
        failed = list(published(Recorder(refused=["x"]), TOPIC, ids, str.encode, told.append))

    assert [entity for entity, _ in failed] == ["x"]
    assert str(told[-1]) == "9000 done, 1 failed, 0 left of 9001"


def test_a_hundred_thousand_ids_are_not_held_in_memory():
    class Endless(io.RawIOBase):
        """Makes its lines when they are read."""

        name, left = "ids", 100_000

        def readline(self, size=-1):
            self.left -= 1
            return b"an-entity-id-of-a-usual-length-%d\n" % self.left if self.left >= 0 else b""

    class Counter(Recorder):
        def publish(self, topic, messages):
            self.sizes.append(len(messages))

    counter = Counter()
    tracemalloc.start()
    try:
        with checked_ids([], Endless()) as ids:
            assert isinstance(ids, CheckedIds)
            assert list(published(counter, TOPIC, ids, str.encode, lambda progress: None)) == []
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert sum(counter.sizes) == 100_000
    assert most < 5_000_000  # the ids alone are 3.7 MB, as a list of texts 8.5 MB


@pytest.mark.emulator
def test_what_is_published_arrives(pubsub_emulator, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator.host)
    topic = pubsub_emulator.new_topic()
    subscription = Subscription(
        Settings(pubsub_emulator.project), pubsub_emulator.new_subscription(topic)
    )
    file = tmp_path / "ids.txt"
    file.write_text("".join(f"{number}\n" for number in range(500)))

    code = main(["message", "publish", "--from-file", str(file), "-n", "--topic", topic])

    arrived = set()
    while received := subscription.pull():
        subscription.acknowledge(received)
        arrived |= {each.data for each in received}
    assert (code, capsys.readouterr().out) == (0, f"500 messages published to {topic}\n")
    assert arrived == {b"%d" % number for number in range(500)}


@pytest.mark.emulator
def test_a_topic_that_is_not_there_is_one_line_with_the_way_to_make_it(
    pubsub_emulator, monkeypatch, capsys
):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator.host)
    topic = f"projects/{pubsub_emulator.project}/topics/nobody-made-it"

    code = main(["message", "publish", "a", "-t", "--topic", topic])

    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    assert f"topic '{topic}'" in said.err
    assert "gcloud pubsub topics create nobody-made-it" in said.err
