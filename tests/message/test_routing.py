from dataclasses import replace

import pytest
from hypothesis import given

from klio_dagster.core.job import JobId
from klio_dagster.message import (
    ANYONE,
    Accepted,
    Dropped,
    Limited,
    accepts,
    decode,
    encode,
    new_message,
)
from tests.message.messages import ENTITY, ME, OTHER, VECTORS, jobs, messages


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_message_is_for_the_jobs_that_klio_says_it_is_for(vector):
    message = decode(bytes.fromhex(vector["hex"]), job=ME)

    answer = accepts(message, ME)

    assert isinstance(answer, Accepted) == (vector["expect"]["recipient_check"] == "process")


def test_from_the_job_on_whose_children_it_triggers_a_message_is_for_anyone():
    vector = next(v for v in VECTORS if v["name"] == "v2_limited_trigger_children_of_my_job")
    message = decode(bytes.fromhex(vector["hex"]), job=ME)

    answer = accepts(message, ME)

    assert isinstance(answer, Accepted)
    assert answer.message.recipients == ANYONE
    assert encode(answer.message) == encode(new_message(ENTITY))


@pytest.mark.parametrize(
    ("recipients", "reason"),
    [
        pytest.param(None, "no_recipients", id="nobody is named"),
        pytest.param(Limited((OTHER,)), "not_recipient", id="others are"),
        pytest.param(Limited((OTHER,), ME), "not_recipient", id="only its children are ours"),
    ],
)
def test_what_is_for_others_is_dropped_with_a_reason(recipients, reason):
    message = replace(new_message("a"), recipients=recipients)

    assert accepts(message, ME) == Dropped(reason)


def test_jobs_whose_project_and_name_only_read_alike_are_different():
    message = new_message("a", to=Limited((JobId("a", "b-c"),)))

    assert accepts(message, JobId("a-b", "c")) == Dropped("not_recipient")


@given(messages(), jobs)
def test_a_message_that_is_passed_on_is_changed_in_its_recipients_at_most(message, job):
    answer = accepts(message, job)

    if isinstance(answer, Accepted):
        assert replace(answer.message, recipients=message.recipients) == message
        assert accepts(answer.message, job) == answer
