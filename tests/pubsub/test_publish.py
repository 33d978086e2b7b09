"""Publishing ends when every message is confirmed, or says which are not and why."""

import pickle

import pytest
from google.api_core.exceptions import DeadlineExceeded
from grpc import StatusCode

from klio_dagster.errors import PublishError
from klio_dagster.pubsub import publish
from klio_dagster.pubsub.publish import Outgoing, Publisher
from tests.pubsub.scripted import failure

WHERE = "topic 'projects/my-project/topics/tracks'"
GCLOUD = (
    "`CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=http://{server}/ "
    "CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true gcloud"
)


def outgoing(*data, key=""):
    return [Outgoing(each, ordering_key=key) for each in data]


def failing(publisher, topic, messages):
    """The error of a publication."""
    with pytest.raises(PublishError) as error:
        publisher.publish(topic, messages)
    return error.value


def sent(scripted):
    return [[each.data for each in request.messages] for request in scripted.requests["Publish"]]


def test_many_messages_go_in_a_few_requests(scripted):
    Publisher(scripted.settings).publish("tracks", outgoing(*[b"1"] * 2_300))

    assert sorted(len(batch) for batch in sent(scripted)) == [300, 500, 500, 500, 500]


def test_large_messages_do_not_share_a_request_that_would_be_too_large(scripted):
    messages = outgoing(*[bytes(400_000)] * 5, b"1")

    Publisher(scripted.settings).publish("tracks", messages)

    assert sum(len(batch) for batch in sent(scripted)) == 6
    assert max(sum(len(data) for data in batch) for batch in sent(scripted)) <= 1_000_000


def test_nothing_is_sent_for_no_messages(scripted):
    Publisher(scripted.settings).publish("tracks", [])

    assert not scripted.requests


def test_what_passes_by_itself_is_never_seen(scripted):
    scripted.script("Publish", [failure(StatusCode.UNAVAILABLE), failure(StatusCode.INTERNAL)])

    Publisher(scripted.settings).publish("tracks", outgoing(b"1"))

    assert sent(scripted) == [[b"1"]] * 3


def test_a_topic_that_refuses_fails_all_that_is_left_without_trying_each(scripted):
    scripted.script("Publish", [failure(StatusCode.PERMISSION_DENIED, "No.")] * 99)

    error = failing(Publisher(scripted.settings), "tracks", outgoing(*[b"1"] * 20_000))

    assert str(error) == (
        f"{WHERE}: 20,000 of 20,000 messages were not published: not permitted: No; grant "
        f"roles/pubsub.publisher: {GCLOUD.format(server=scripted.settings.emulator_host)} "
        "pubsub topics add-iam-policy-binding tracks "
        "--project=my-project --member=WHO --role=roles/pubsub.publisher`"
    )
    assert not error.transient
    assert len(error.failed) == 20_000
    assert len(sent(scripted)) <= 4


def test_a_server_that_stops_answering_leaves_the_confirmed_ones_confirmed(monkeypatch, scripted):
    monkeypatch.setattr(publish, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(publish, "_AT_ONCE", 1)
    scripted.script("Publish", [None, *[failure(StatusCode.UNAVAILABLE)] * 9])

    error = failing(Publisher(scripted.settings), "tracks", outgoing(*[b"1"] * 1_200))

    assert sorted(error.failed) == [*range(500, 1_200)]
    assert error.transient


def test_a_large_message_on_a_slow_line_keeps_no_other_from_being_sent(monkeypatch, scripted):
    monkeypatch.setattr(publish, "_AT_ONCE", 1)
    in_time = publish.tried

    def on_a_slow_line(call, request, *given, **named):
        if len(request.messages[0].data) > 1_000_000:
            raise DeadlineExceeded("too slow")
        return in_time(call, request, *given, **named)

    monkeypatch.setattr(publish, "tried", on_a_slow_line)
    messages = outgoing(bytes(2_000_000), b"1")

    error = failing(Publisher(scripted.settings), "tracks", messages)

    assert [*error.failed] == [0]
    assert sent(scripted) == [[b"1"]]


@pytest.mark.emulator
def test_a_missing_topic_says_how_to_make_it(publisher, emulator):
    error = failing(publisher, "nowhere", outgoing(b"1"))

    assert str(error) == (
        "topic 'projects/klio-tests/topics/nowhere': 1 of 1 messages were not published: it does "
        f"not exist on emulator at {emulator.host}; "
        f"create it: {GCLOUD.format(server=emulator.host)} pubsub topics create nowhere "
        "--project=klio-tests`"
    )


@pytest.mark.emulator
@pytest.mark.parametrize("bad", [0, 333, 999])
def test_a_message_that_pubsub_does_not_take_fails_alone(publisher, topic, subscription, bad):
    messages = outgoing(*[b"%d" % each for each in range(1_000)])
    messages[bad] = Outgoing(b"")  # neither data nor attributes

    error = failing(publisher, topic, messages)

    assert list(error.failed) == [bad]
    assert "messages are empty" in str(error.failed[bad])
    assert len({each.data for each in subscription.pull(most=2_000)}) == 999


@pytest.mark.emulator
def test_a_message_that_is_too_large_is_told_with_the_limit_and_fails_alone(
    publisher, topic, subscription
):
    error = failing(publisher, topic, outgoing(bytes(10_000_001), b"1"))

    assert list(error.failed) == [0]
    assert "1 of 2 messages were not published: a message of 10,000,021 bytes" in str(error)
    assert "Pub/Sub takes 10,000,000; put the bytes into the store" in str(error)
    assert [each.data for each in subscription.pull()] == [b"1"]


@pytest.mark.emulator
def test_what_follows_a_failed_message_of_its_key_is_not_sent_before_it(
    publisher, topic, subscription
):
    messages = [
        *outgoing(b"1", b"", b"2", key="one"),
        *outgoing(b"3", b"4", key="two"),
        *outgoing(b"5"),
    ]

    error = failing(publisher, topic, messages)
    first = sorted(each.data for each in subscription.pull())
    publisher.publish(topic, outgoing(b"mended", b"2", key="one"))

    assert sorted(error.failed) == [1, 2]
    assert "one before it with the same ordering key failed" in str(error.failed[2])
    assert first == [b"1", b"3", b"4", b"5"]
    assert [each.data for each in subscription.pull()] == [b"mended", b"2"]


def test_the_error_survives_the_way_to_another_process():
    error = PublishError("what", "where", "fix", True, {3: PublishError("a", "b", "c")})

    again = pickle.loads(pickle.dumps(error))

    assert (str(again), again.transient, str(again.failed[3])) == (str(error), True, "b: a; c")
