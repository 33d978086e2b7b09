from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from klio_dagster.core.job import JobId
from klio_dagster.errors import ConfigError, InvalidEntityIdError, MessageError
from klio_dagster.message import (
    ANYONE,
    AuditEntry,
    Limited,
    Message,
    decode,
    encode,
    extended,
    new_message,
)
from klio_dagster.message.klio_pb2 import KlioMessage
from tests.message.messages import ENTITY, ME, OTHER, PARENT, RAW_VECTORS, VECTORS, messages

ROOT = Path(__file__).parents[2]
VECTOR = {each["name"]: bytes.fromhex(each["hex"]) for each in VECTORS}

# Acceptance case 14 of Klio: what `klio message publish` of test-project::my-job sends.
PUBLISHED = [
    pytest.param({"to": Limited((ME,))}, VECTOR["v2_limited_to_my_job"].hex(), id="bottom-up"),
    pytest.param({}, "0a0432020a00120f1a0d73306d335f747234636b5f31641802", id="top-down"),
    pytest.param(
        {"force": True}, "0a06200132020a00120f1a0d73306d335f747234636b5f31641802", id="force"
    ),
    pytest.param(
        {"ping": True}, "0a06280132020a00120f1a0d73306d335f747234636b5f31641802", id="ping"
    ),
    pytest.param({"version": 1}, "0a00120f0a0d73306d335f747234636b5f31641801", id="v1-top-down"),
    pytest.param(
        {"version": 1, "to": Limited((ME,))},
        "0a180a160a066d792d6a6f62120c746573742d70726f6a656374120f0a0d73306d335f747234636b5f31641801",
        id="v1-bottom-up",
    ),
]


def klio(*, version=0, entity_id="", element=b"", **metadata):
    """The bytes of a Klio message in any state."""
    message = KlioMessage(version=version)
    message.data.entity_id, message.data.element = entity_id, element
    for name, value in metadata.items():
        getattr(message.metadata, name).MergeFrom(value)
    return message.SerializeToString()


@pytest.mark.parametrize(("said", "published"), PUBLISHED)
def test_a_new_message_is_byte_for_byte_what_klio_publishes(said, published):
    assert encode(new_message(ENTITY, **said)).hex() == published


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_message_of_klio_is_read_as_klio_reads_it(vector):
    message = decode(bytes.fromhex(vector["hex"]), job=ME)

    metadata, data = vector["fields"]["metadata"], vector["fields"]["data"]
    assert message.entity_id == ENTITY
    assert f"V{message.version}" == vector["expect"].get("parsed_version", f"V{message.version}")
    assert (message.force, message.ping) == (metadata["force"], metadata["ping"])
    assert message.payload.hex() == data.get("payload", {"hex": ""})["hex"]
    assert message.recipients == _recipients(vector)
    assert message.raw.hex() == vector["hex"]


@pytest.mark.parametrize(
    "vector",
    [each for each in VECTORS if each["fields"]["version"] == "V2"],
    ids=lambda vector: vector["name"],
)
def test_a_message_of_version_2_is_passed_on_byte_for_byte(vector):
    data = bytes.fromhex(vector["hex"])

    assert encode(decode(data, job=ME)) == data


@pytest.mark.parametrize(
    ("received", "version", "entity", "passed_on"),
    [
        pytest.param(
            klio(version=1, entity_id="a"),
            1,
            "a",
            klio(version=1, entity_id="a", element=b"a"),
            id="v1 with an entity_id is given the element",
        ),
        pytest.param(klio(version=1, element=b"b"), 1, "b", None, id="v1 with an element"),
        pytest.param(klio(version=1, entity_id="a", element=b"b"), 1, "b", None, id="v1 with both"),
        pytest.param(klio(version=2, element=b"b"), 2, "b", None, id="v2 with an element"),
        pytest.param(klio(version=2, entity_id="a", element=b"b"), 2, "b", None, id="v2 with both"),
        pytest.param(
            klio(version=2, entity_id="a"),
            2,
            "a",
            klio(version=2, entity_id="a", element=b"a"),
            id="v2 with an entity_id only: not an empty element as in Klio",
        ),
        pytest.param(
            klio(entity_id="a"),
            1,
            "a",
            klio(version=1, entity_id="a", element=b"a"),
            id="without version, an entity_id: v1",
        ),
        pytest.param(
            klio(element=b"b"), 2, "b", klio(version=2, element=b"b"), id="an element: v2"
        ),
        pytest.param(klio(entity_id="a", element=b"b"), 1, "b", None, id="both: read as v1"),
    ],
)
def test_each_version_names_its_entity_and_is_passed_on_normalised(
    received, version, entity, passed_on
):
    message = decode(received, job=ME)

    assert (message.version, message.entity_id) == (version, entity)
    assert encode(message) == (passed_on or received)


def test_without_version_and_with_both_ids_limited_recipients_are_not_looked_at_as_in_klio():
    limited = KlioMessage().metadata.intended_recipients
    limited.limited.recipients.add(job_name="other-job", gcp_project="test-project")

    message = decode(klio(entity_id="a", element=b"b", intended_recipients=limited), job=ME)

    assert message.recipients == ANYONE


@pytest.mark.parametrize("vector", RAW_VECTORS, ids=lambda vector: vector["name"])
def test_what_is_no_klio_message_is_refused(vector):
    with pytest.raises(MessageError, match=r"^message received by test-project::my-job: its \d+"):
        decode(bytes.fromhex(vector["hex"]), job=ME)


@pytest.mark.parametrize(
    "text",
    ["abcd", '{"some": "jsondata"}', "0nQLxiNGbbUoSGrxksETLm", "123456789", "hello", "track-42"],
)
def test_where_bare_ids_are_allowed_even_one_that_is_valid_protobuf_is_the_id(text):
    message = decode(text.encode(), job=ME, allow_non_klio=True)

    assert message == Message(entity_id=text)
    assert encode(message) == encode(new_message(text))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"", "it is empty", id="nothing"),
        pytest.param(b"\xff\xfe", "its entity id is not UTF-8", id="no text"),
        pytest.param(klio(version=2), "it names no entity", id="Klio's, without an id"),
        pytest.param(klio(version=2, element=b"\xff"), "not UTF-8", id="Klio's, not UTF-8"),
        pytest.param(klio(version=3, element=b"a"), "its version is 3", id="of a later version"),
    ],
)
def test_what_names_no_entity_is_refused_also_where_bare_ids_are_allowed(data, problem):
    with pytest.raises(MessageError, match=problem):
        decode(data, job=ME, allow_non_klio=True)


@given(messages())
def test_what_was_written_is_read_again(message):
    assert decode(encode(message), job=ME) == message


@given(messages(), messages())
def test_a_received_message_that_is_changed_says_what_the_change_says(received, wanted):
    message = decode(encode(received), job=ME)

    changed = replace(wanted, raw=message.raw, details=message.details)

    assert decode(encode(changed), job=ME) == wanted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(Limited((ME,), PARENT), Limited((ME,)), id="the trigger is taken away"),
        pytest.param(Limited((ME,)), Limited((ME,), ME), id="a trigger is set"),
        pytest.param(Limited((ME, OTHER)), Limited((OTHER,)), id="a recipient is taken away"),
        pytest.param(ANYONE, Limited(()), id="for nobody"),
        pytest.param(ANYONE, Limited((ME,)), id="limited"),
        pytest.param(Limited((ME,)), ANYONE, id="for anyone"),
        pytest.param(Limited((ME,)), None, id="nothing is said"),
    ],
)
def test_changed_recipients_are_written_in_place_of_the_old_ones(before, after):
    message = decode(encode(Message(entity_id="a", recipients=before)), job=ME)

    changed = encode(replace(message, recipients=after))

    assert changed == encode(Message(entity_id="a", recipients=after))


def test_of_version_1_nothing_is_left_in_version_2():
    message = decode(encode(Message(entity_id="a", version=1, recipients=Limited((ME,)))), job=ME)

    changed = KlioMessage.FromString(encode(replace(message, version=2)))

    assert list(changed.metadata.downstream) == []
    assert len(changed.metadata.intended_recipients.limited.recipients) == 1


def test_what_later_versions_and_version_1_say_beside_is_passed_on():
    received = KlioMessage.FromString(VECTOR["v1_downstream_other_job"])
    received.metadata.downstream[0].inputs.add(topic="t", data_location="gs://d")
    received.metadata.visited.add(job_name="visited", gcp_project="p")
    unknown = bytes([0xFA, 0x01, 2]) + b"me"  # field 31
    message = decode(received.SerializeToString() + unknown, job=ME)

    passed_on = encode(extended(message, ME, 1.5))

    again = KlioMessage.FromString(passed_on)
    assert again.metadata.downstream == received.metadata.downstream
    assert again.metadata.visited == received.metadata.visited
    assert again.metadata.job_audit_log[0].timestamp.nanos == 500_000_000
    assert unknown in passed_on


def test_a_recipient_without_a_name_is_no_job_of_ours_and_stays_on_the_wire():
    limited = KlioMessage().metadata.intended_recipients
    limited.limited.recipients.add(job_name="nameless")
    limited.limited.recipients.add(job_name="my-job", gcp_project="test-project")
    received = klio(version=2, element=b"a", intended_recipients=limited)

    message = decode(received, job=ME)

    assert message.recipients == Limited((ME,))
    assert encode(message) == received
    added = encode(replace(message, recipients=Limited((ME, OTHER))))
    assert len(KlioMessage.FromString(added).metadata.intended_recipients.limited.recipients) == 3


def test_an_audit_log_grows_at_its_end_and_keeps_what_is_there():
    message = extended(extended(new_message("a"), PARENT, 1700000000.25), ME, 1700000001.0)

    again = decode(encode(message), job=ME)

    assert again.audit_log == (
        AuditEntry(PARENT, 1700000000.25),
        AuditEntry(ME, 1700000001.0),
    )


@pytest.mark.parametrize(
    ("said", "error", "problem"),
    [
        pytest.param({"entity": "a\n"}, InvalidEntityIdError, "control character", id="id"),
        pytest.param({"version": 3}, ConfigError, "version is 3", id="version"),
        pytest.param({"to": Limited(())}, ConfigError, "it is for nobody", id="nobody"),
        pytest.param(
            {"version": 1, "to": Limited((ME,), ME)},
            ConfigError,
            "version 1 has no trigger_children_of",
            id="what version 1 cannot say",
        ),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused_when_it_is_made(said, error, problem):
    with pytest.raises(error, match=problem):
        new_message(**{"entity": "a", **said})


def test_a_message_of_version_1_is_for_somebody():
    with pytest.raises(ConfigError, match="version 1 is for somebody"):
        Message(entity_id="a", version=1, recipients=None)


def _recipients(vector):
    metadata = vector["fields"]["metadata"]
    if vector["fields"]["version"] == "V1":
        return Limited(_jobs(metadata["downstream"])) if "downstream" in metadata else ANYONE
    said = metadata.get("intended_recipients")
    if said is None:
        return None
    if said["oneof"] == "anyone":
        return ANYONE
    trigger = said["limited"].get("trigger_children_of")
    return Limited(_jobs(said["limited"]["recipients"]), _jobs([trigger])[0] if trigger else None)


def _jobs(said):
    return tuple(JobId(each["gcp_project"], each["job_name"]) for each in said)
