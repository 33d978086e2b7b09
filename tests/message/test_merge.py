from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.message import ANYONE, Accepted, Limited, Message, accepts, decode, encode, merged
from tests.message.messages import ME, NAMESAKE, OTHER, PARENT, jobs, messages

LIMITED = Limited((ME,), PARENT)


@st.composite
def pairs(draw):
    """Two messages that differ in what they may differ in, and sometimes in more."""
    first, other = draw(messages()), draw(messages())
    names = draw(st.sets(st.sampled_from(["force", "recipients", "ping", "payload"])))
    changes = {name: getattr(other, name) for name in names}
    if first.version != other.version:
        changes.pop("recipients", None)
    return first, replace(first, **changes, audit_log=other.audit_log)


def asks(message, job):
    """What a message asks a job for, and what the jobs below it hear."""
    answer = accepts(message, job)
    if not isinstance(answer, Accepted):
        return None
    return answer.message.ping, answer.message.force, answer.message.recipients == ANYONE


@given(pairs(), st.lists(jobs, max_size=3))
def test_one_message_asks_each_job_for_what_the_two_ask_it_for(pair, strangers):
    a, b = pair

    one = merged(a, b)

    if one is not None:
        named = [r.recipients for r in (a.recipients, b.recipients) if isinstance(r, Limited)]
        for job in [*strangers, *(job for each in named for job in each)]:
            both = [asked for asked in (asks(a, job), asks(b, job)) if asked]
            assert asks(one, job) == (max(both) if both else None)
        assert (one.entity_id, one.version, one.payload) == (a.entity_id, a.version, a.payload)


@given(messages().filter(lambda message: message.recipients is not None))
def test_a_message_delivered_twice_is_one(message):
    assert merged(message, message) == message


@given(pairs())
def test_which_came_first_matters_to_the_audit_log_alone(pair):
    a, b = pair

    one, other = merged(a, b), merged(b, a)

    assert (one is None) == (other is None)
    if one and other:
        assert one.audit_log == a.audit_log
        assert other.audit_log == b.audit_log
        assert (one.force, _said(one)) == (other.force, _said(other))


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        pytest.param(
            {"recipients": ANYONE},
            {"recipients": ANYONE, "force": True},
            {"recipients": ANYONE, "force": True},
            id="force beats no force",
        ),
        pytest.param(
            {"recipients": LIMITED},
            {"recipients": Limited((OTHER, ME), PARENT)},
            {"recipients": Limited((ME, OTHER), PARENT)},
            id="the recipients of both",
        ),
        pytest.param(
            {"version": 1, "recipients": Limited((ME, OTHER))},
            {"version": 1, "recipients": Limited((OTHER, ME))},
            {"version": 1, "recipients": Limited((ME, OTHER))},
            id="version 1 for the same jobs",
        ),
        pytest.param({"recipients": ANYONE}, {"recipients": LIMITED}, None, id="modes differ"),
        pytest.param(
            {"recipients": LIMITED}, {"recipients": Limited((ME,))}, None, id="triggers differ"
        ),
        pytest.param({"ping": True}, {}, None, id="a ping and work"),
        pytest.param({"payload": b"x"}, {}, None, id="payloads differ"),
        pytest.param({"version": 1}, {"version": 2}, None, id="versions differ"),
        pytest.param(
            {"version": 1, "recipients": Limited((ME,))},
            {"version": 1, "recipients": Limited((ME, OTHER))},
            None,
            id="version 1 for other jobs",
        ),
        pytest.param(
            {"recipients": Limited((ME,)), "force": True},
            {"recipients": Limited((ME, NAMESAKE))},
            None,
            id="force for some only",
        ),
        pytest.param({"recipients": None}, {"recipients": None}, None, id="for nobody"),
        pytest.param({"entity_id": "b"}, {}, None, id="another entity"),
    ],
)
def test_two_messages_become_one_where_one_can_say_it(one, other, together):
    a, b = (Message(**{"entity_id": "a", **said}) for said in (one, other))

    expected = Message(**{"entity_id": "a", **together}) if together else None
    assert merged(a, b) == expected


def test_a_merged_message_is_written_as_it_reads():
    a, b = (
        decode(encode(Message(entity_id="a", recipients=Limited((job,)))), job=ME)
        for job in (ME, OTHER)
    )

    one = merged(a, b)

    assert one is not None
    assert decode(encode(one), job=ME).recipients == Limited((ME, OTHER))


def _said(message):
    match message.recipients:
        case Limited(recipients, trigger):
            return frozenset(recipients), trigger
        case anyone:
            return anyone
