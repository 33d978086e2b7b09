"""Acknowledgements, and what a subscription with exactly-once delivery says of them."""

import pytest
from grpc import StatusCode

from klio_dagster.errors import PubSubError
from klio_dagster.pubsub import acks
from klio_dagster.pubsub.pull import Received, Subscription
from tests.pubsub.scripted import failure

GONE = "PERMANENT_FAILURE_INVALID_ACK_ID"
LATER = "TRANSIENT_FAILURE_UNORDERED_ACK_ID"


def received(*ids):
    return [Received(b"", {}, f"message of {each}", 0.0, each) for each in ids]


def failed(**told):
    return failure(StatusCode.FAILED_PRECONDITION, "Some ack ids failed.", told=told)


@pytest.fixture
def subscription(scripted):
    return Subscription(scripted.settings, "tracks")


def sent(scripted, method="Acknowledge"):
    return [list(request.ack_ids) for request in scripted.requests[method]]


def test_many_acknowledgements_go_in_requests_that_pubsub_takes(scripted, subscription):
    ids = [f"{each:0>500}" for each in range(2_500)]  # longer than Pub/Sub's

    assert subscription.acknowledge(received(*ids)) == []

    assert [len(some) for some in sent(scripted)] == [1000, 1000, 500]
    assert [each for some in sent(scripted) for each in some] == ids
    sizes = [len(type(request).serialize(request)) for request in scripted.requests["Acknowledge"]]
    assert max(sizes) < 512 * 1024


def test_what_fails_for_now_is_sent_again(scripted, subscription):
    scripted.script("Acknowledge", [failed(b=LATER), failed(b=LATER)])

    assert subscription.acknowledge(received("a", "b")) == []
    assert sent(scripted) == [["a", "b"], ["a", "b"], ["a", "b"]]


def test_what_is_refused_for_good_is_told_and_the_others_are_acknowledged(scripted, subscription):
    scripted.script("Acknowledge", [failed(b=GONE, c=LATER), failed(c=LATER)])
    messages = received("a", "b", "c")

    refused = subscription.acknowledge(messages)

    assert refused == [messages[1]]
    assert sent(scripted) == [["a", "b", "c"], ["a", "c"], ["a", "c"]]


def test_when_all_are_refused_nothing_more_is_sent(scripted, subscription):
    scripted.script("Acknowledge", [failed(a=GONE, b=GONE)])

    assert subscription.acknowledge(received("a", "b")) == received("a", "b")
    assert len(sent(scripted)) == 1


def test_a_refused_extension_is_told_too(scripted, subscription):
    scripted.script("ModifyAckDeadline", [failed(a=GONE)])

    assert subscription.extend(received("a", "b"), 60) == received("a")
    assert sent(scripted, "ModifyAckDeadline") == [["a", "b"], ["b"]]


def test_the_fate_of_a_thousand_ids_fits_into_one_error(scripted, subscription):
    ids = [f"{each:0>180}" for each in range(1_000)]
    scripted.script("Acknowledge", [failed(**dict.fromkeys(ids, GONE))])

    assert len(subscription.acknowledge(received(*ids))) == 1_000


def test_what_fails_for_too_long_is_an_error_that_passes(monkeypatch, scripted, subscription):
    monkeypatch.setattr(acks, "ANSWER_WITHIN_S", 0.15)
    scripted.script("Acknowledge", [failed(b=LATER)] * 9)

    with pytest.raises(PubSubError) as error:
        subscription.acknowledge(received("a", "b"))

    assert error.value.transient
    assert str(error.value) == (
        "subscription 'projects/my-project/subscriptions/tracks': 2 deliveries could not be "
        "settled for now: refused: Some ack ids failed; nothing to do: they come again"
    )


def test_another_failure_is_not_taken_for_one_of_ids(scripted, subscription):
    scripted.script("Acknowledge", [failure(StatusCode.PERMISSION_DENIED, "No.")])

    with pytest.raises(PubSubError, match="not permitted"):
        subscription.acknowledge(received("a"))
    assert len(sent(scripted)) == 1
