"""Jobs in a row, each fed by the one before: who works on a message, and in which mode."""

from dataclasses import replace

import pytest
from hypothesis import given

from klio_dagster.core.job import JobId
from klio_dagster.message import (
    ANYONE,
    Accepted,
    Dropped,
    Limited,
    Message,
    accepts,
    answers,
    decode,
    encode,
    extended,
    new_message,
    request_upstream,
)
from tests.message.messages import ENTITY, ME, PARENT, VECTORS, jobs, messages

A, B, C = (JobId("p", name) for name in "ABC")
BESIDE_B, BESIDE_C, CHILD_OF_C = (JobId("p", name) for name in ("b", "c", "D"))


def sent(message):
    """As it arrives at the other end of a topic."""
    return decode(encode(message), job=ME)


def taken(message, job):
    answer = accepts(sent(message), job)
    assert isinstance(answer, Accepted), f"{job} dropped it"
    return answer.message


def is_dropped(message, job):
    return accepts(sent(message), job) == Dropped("not_recipient")


def test_a_request_is_byte_for_byte_the_one_klio_sends():
    vector = next(v for v in VECTORS if v["name"] == "v2_limited_trigger_children_of_my_job")

    request = request_upstream(new_message(ENTITY), ME, PARENT)

    assert encode(request).hex() == vector["hex"]


@pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])
@pytest.mark.parametrize("mode", ["top-down", "bottom-up"])
def test_through_three_levels_each_works_no_sibling_does_and_the_mode_comes_back(mode, version):
    to = ANYONE if mode == "top-down" else Limited((C,))
    asked = taken(new_message(ENTITY, to=to, version=version), C)

    at_b = taken(request_upstream(asked, C, B), B)
    at_a = taken(request_upstream(at_b, B, A), A)
    back_at_b = taken(at_a, B)
    back_at_c = taken(back_at_b, C)

    assert is_dropped(at_a, BESIDE_B)
    assert is_dropped(back_at_b, BESIDE_C)
    assert is_dropped(back_at_c, CHILD_OF_C) == (mode == "bottom-up")
    assert back_at_c.entity_id == ENTITY


@given(messages().filter(lambda message: message.recipients is not None), jobs, jobs)
def test_a_request_names_both_jobs_once_and_asks_for_no_force(message, me, upstream):
    request = request_upstream(message, me, upstream)

    assert isinstance(request.recipients, Limited)
    recipients = request.recipients.recipients
    known = message.recipients.recipients if isinstance(message.recipients, Limited) else ()
    assert recipients[: len(known)] == known
    assert sorted(map(str, recipients[len(known) :])) == sorted(
        {str(job) for job in (me, upstream) if job not in known}
    )
    assert request.force is False
    assert sent(request) == request


@given(messages().filter(lambda message: message.recipients is not None), jobs, jobs)
def test_asking_again_says_nothing_new(message, me, upstream):
    once = request_upstream(message, me, upstream)

    assert request_upstream(once, me, upstream) == once


def test_a_payload_stays_with_version_1_only():
    to = Limited((ME,))
    first, second = (
        Message(entity_id="a", version=version, recipients=to, payload=b"x") for version in (1, 2)
    )

    assert request_upstream(first, ME, PARENT).payload == b"x"
    assert request_upstream(second, ME, PARENT).payload == b""


def test_a_message_without_recipients_asks_for_nothing():
    with pytest.raises(ValueError, match="without recipients"):
        request_upstream(Message(entity_id="a", recipients=None), ME, PARENT)


def through(message, job):
    """As the job passes it on."""
    return extended(taken(message, job), job, 1.0)


@pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])
@pytest.mark.parametrize("mode", ["top-down", "bottom-up"])
def test_what_comes_back_answers_what_waits_at_each_of_three_levels(mode, version):
    to = ANYONE if mode == "top-down" else Limited((C,))
    waits_at_c = taken(new_message(ENTITY, to=to, version=version), C)
    waits_at_b = taken(extended(request_upstream(waits_at_c, C, B), C, 1.0), B)

    at_b = taken(through(extended(request_upstream(waits_at_b, B, A), B, 1.0), A), B)
    at_c = taken(extended(waits_at_b, B, 1.0), C)

    assert answers(at_b, waits_at_b, B, A)
    assert answers(at_c, waits_at_c, C, B)


def test_what_asks_for_more_than_what_waits_is_no_answer():
    waits = new_message(ENTITY)
    back = taken(through(extended(request_upstream(waits, C, B), C, 1.0), B), C)
    of_a_child = extended(request_upstream(back, CHILD_OF_C, C), CHILD_OF_C, 2.0)

    assert answers(back, waits, C, B)
    assert not answers(replace(back, force=True), waits, C, B)
    assert not answers(replace(back, entity_id="other"), waits, C, B)
    assert not answers(back, replace(waits, recipients=Limited((C,))), C, B)
    assert not answers(new_message(ENTITY), waits, C, B), "it has not gone through us"
    assert not answers(accepts(of_a_child, C).message, waits, C, B), "a child asks us for it"
    assert not answers(waits, waits, C, B)


def test_an_answer_to_an_older_message_is_none_to_one_that_went_another_way():
    older, later = (extended(new_message(ENTITY), BESIDE_B, at) for at in (1.0, 2.0))
    back = taken(through(extended(request_upstream(older, C, B), C, 3.0), B), C)

    assert answers(back, older, C, B)
    assert not answers(back, later, C, B)
