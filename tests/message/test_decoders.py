import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.errors import ConfigError, MessageError
from klio_dagster.message import (
    Dropped,
    JsonField,
    KlioDecoder,
    Message,
    PlainIds,
    StorageNotifications,
    encode,
    new_message,
)
from tests.message.messages import ME

UPLOADED = {"eventType": "OBJECT_FINALIZE", "bucketId": "music", "objectId": "tracks/a.flac"}


def entity_of(bucket, name):
    folder, _, file = name.partition("/")
    return file.removesuffix(".flac") if (bucket, folder) == ("music", "tracks") else None


def test_klios_messages_and_where_asked_for_bare_ids():
    klio = encode(new_message("a", force=True))

    assert KlioDecoder()(klio, {}, ME) == new_message("a", force=True)
    assert KlioDecoder(allow_non_klio=True)(b"123456789", {}, ME) == Message(entity_id="123456789")
    with pytest.raises(MessageError):
        KlioDecoder()(b"123456789", {}, ME)


def test_a_plain_id_is_taken_as_it_is():
    message = PlainIds()(" é/1 ".encode(), {}, ME)

    assert message == Message(entity_id=" é/1 ")
    assert message.raw == " é/1 ".encode()


@pytest.mark.parametrize("data", [b"", b"\xff"], ids=["nothing", "not UTF-8"])
def test_what_is_no_text_is_no_plain_id(data):
    with pytest.raises(MessageError, match="received by test-project::my-job"):
        PlainIds()(data, {}, ME)


@pytest.mark.parametrize(
    ("path", "data", "entity"),
    [
        pytest.param("id", b'{"id": "a", "n": 1}', "a", id="a field"),
        pytest.param("track.id", b'{"track": {"id": "a"}}', "a", id="a field of a field"),
        pytest.param("id", b'\n{"id": 42}', "42", id="a whole number"),
    ],
)
def test_a_field_of_json_is_the_id(path, data, entity):
    message = JsonField(path)(data, {}, ME)

    assert message == Message(entity_id=entity)
    assert encode(message) == encode(new_message(entity))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"{", "not JSON", id="not JSON"),
        pytest.param(b"\xff", "not JSON", id="not UTF-8"),
        pytest.param(b"[" * 100_000, "not JSON", id="too deep"),
        pytest.param(b'{"track": 1' + b"0" * 5000 + b"}", "not JSON", id="too long a number"),
        pytest.param(b'{"id": "a"}', "no field 'track.id'", id="no such field"),
        pytest.param(b'{"track": "a"}', "no field 'track.id'", id="no object"),
        pytest.param(b'{"track": {"id": ""}}', "holds no id", id="empty"),
        pytest.param(b'{"track": {"id": true}}', "holds no id", id="true"),
        pytest.param(b'{"track": {"id": 1.5}}', "holds no id", id="a fraction"),
        pytest.param(b'{"track": {"id": null}}', "holds no id", id="null"),
    ],
)
def test_json_without_an_id_is_refused(data, problem):
    with pytest.raises(MessageError, match=problem):
        JsonField("track.id")(data, {}, ME)


@given(
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "x"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_anything_sent_to_a_json_decoder_is_a_message_or_a_message_error(data):
    try:
        message = JsonField("id")(data, {}, ME)
    except MessageError:
        return

    assert message.entity_id


@pytest.mark.parametrize("path", ["", "a..b", ".a"])
def test_a_path_names_fields(path):
    with pytest.raises(ConfigError, match="JsonField: path is"):
        JsonField(path)


def test_an_upload_is_a_message_about_its_entity():
    message = StorageNotifications(entity_of)(b'{"kind": "storage#object"}', UPLOADED, ME)

    assert message == Message(entity_id="a")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"eventType": "OBJECT_DELETE"}, "event_type", id="deleted"),
        pytest.param({"eventType": "OBJECT_METADATA_UPDATE"}, "event_type", id="metadata"),
        pytest.param({"bucketId": "other"}, "no_source", id="another bucket"),
        pytest.param({"objectId": "logs/a.txt"}, "no_source", id="no entity's"),
    ],
)
def test_other_events_and_other_objects_are_dropped_with_a_reason(changed, reason):
    answer = StorageNotifications(entity_of)(b"", UPLOADED | changed, ME)

    assert answer == Dropped(reason)


@pytest.mark.parametrize("missing", UPLOADED)
def test_what_is_no_notification_is_refused(missing):
    attributes = {name: value for name, value in UPLOADED.items() if name != missing}

    with pytest.raises(MessageError, match=f"no attribute {missing}"):
        StorageNotifications(entity_of)(b"", attributes, ME)


def test_whose_an_object_is_must_be_said_and_may_be_said_later():
    unbound = StorageNotifications()

    with pytest.raises(ConfigError, match="entity_of is not given"):
        unbound(b"", UPLOADED, ME)
    assert replace(unbound, entity_of=entity_of)(b"", UPLOADED, ME) == Message(entity_id="a")
