"""Who does not speak Klio's messages: ids, JSON, and Cloud Storage that tells of uploads."""

import json
import re
from typing import Any

import pytest

from klio_dagster.errors import ConfigError
from klio_dagster.message import (
    ANYONE,
    JsonField,
    PlainIds,
    StorageNotifications,
    encode,
    new_message,
)
from klio_dagster.streaming.dead_letter import send_back
from tests.flows.catalogue import Catalogue, all_of
from tests.services.pubsub import PubSubEmulator
from tests.streaming.team import Team


def upload(name: str, event: str = "OBJECT_FINALIZE", bucket: str = "studio") -> dict[str, str]:
    """The attributes of Cloud Storage's notifications, as its documentation lists them."""
    return {
        "notificationConfig": f"projects/_/buckets/{bucket}/notificationConfigs/1",
        "eventType": event,
        "payloadFormat": "NONE",
        "bucketId": bucket,
        "objectId": name,
        "objectGeneration": "1790000000000000",
        "eventTime": "2026-11-21T18:00:00.000000Z",
    }


def of_the_studio(bucket: str, name: str) -> str | None:
    """The decoder's own mapping, where the source patterns would not do."""
    found = re.fullmatch(r"takes/(.+)\.txt", name)
    return found[1] if found and bucket == "studio" else None


@pytest.mark.parametrize(
    ("options", "data", "attributes"),
    [
        pytest.param({"decoder": PlainIds()}, b"take 1", {}, id="plain-id"),
        pytest.param({"allow_non_klio": True}, b"take 1", {}, id="non-klio"),
        pytest.param(
            {"decoder": JsonField("track.id")}, b'{"track": {"id": "take 1"}}', {}, id="json"
        ),
        pytest.param(
            {"decoder": StorageNotifications(entity_of=of_the_studio)},
            b"",
            upload("takes/take 1.txt"),
            id="upload",
        ),
    ],
)
def test_what_others_send_is_computed_and_passed_on_as_klios_message(
    catalogue: Catalogue,
    pubsub_emulator: PubSubEmulator,
    options: dict[str, Any],
    data: bytes,
    attributes: dict[str, str],
) -> None:
    team = Team(catalogue, pubsub_emulator, options=options)
    team.put("take 1")
    team.send(data, attributes=attributes)

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    (told,) = team.told()
    assert (told.entity_id, told.version, told.recipients) == ("take 1", 2, ANYONE)
    assert [entry.job for entry in told.audit_log] == [team.job]
    assert (team.inbox(), team.dead(), team.left_in_topic()) == ([], [], [])


def test_with_non_klio_allowed_klios_own_messages_are_read_too(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    team = Team(catalogue, pubsub_emulator, options={"allow_non_klio": True})
    team.ask("a", force=True)
    team.send(b"b")

    (request,) = team.tick()

    assert [(each.entity, each.force) for each in team.asked()] == [("a", True), ("b", False)]
    assert request.tags["klio/entities"] == "2"


@pytest.mark.parametrize(
    ("options", "data"),
    [
        pytest.param({"decoder": PlainIds()}, b"\xff\xfe", id="no-utf8"),
        pytest.param({"decoder": JsonField("id")}, b'{"ids": "a"}', id="no-such-field"),
        pytest.param({"decoder": JsonField("id")}, encode(new_message("a")), id="no-json"),
        pytest.param(
            {"decoder": StorageNotifications(entity_of=of_the_studio)}, b"a", id="no-notification"
        ),
        pytest.param({}, b"a", id="non-klio-not-allowed"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_bytes(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator, options: dict[str, Any], data: bytes
) -> None:
    team = Team(catalogue, pubsub_emulator, options=options)
    team.send(data, attributes={"sender": "studio"})

    assert team.tick() == []

    (dead,) = team.dead()
    assert (dead.reason, dead.letter.data) == ("undecodable", data)
    assert dead.letter.attributes == {"sender": "studio"}
    assert team.left_in_topic() == []


@pytest.fixture
def bucket_team(catalogue: Catalogue, pubsub_emulator: PubSubEmulator) -> Team:
    """Its recordings lie in a bucket; the sensor is told of nothing but that."""
    return Team(
        catalogue,
        pubsub_emulator,
        source="gs://studio/takes/{entity}.flac",
        options={"decoder": StorageNotifications()},
    )


def test_an_upload_to_the_bucket_of_the_source_asks_for_its_entity(bucket_team: Team) -> None:
    team = bucket_team
    resource = {"kind": "storage#object", "bucket": "studio", "name": "takes/a.flac"}
    team.send(
        json.dumps(resource).encode(),
        attributes={**upload("takes/a.flac"), "payloadFormat": "JSON_API_V1"},
    )
    team.send(b"", attributes=upload("takes/Ä (live).flac"))
    team.send(b"", attributes={**upload("takes/a.flac"), "overwroteGeneration": "1"})
    team.send(b"", attributes=upload("takes/a.flac", event="OBJECT_DELETE"))
    team.send(b"", attributes=upload("takes/a.wav"))
    team.send(b"", attributes=upload("takes/a.flac", bucket="another"))

    result = team.evaluate()

    (request,) = result.run_requests or (None,)
    assert request is not None
    assert sorted(team.inbox()) == ["a", "Ä (live)"]
    assert sorted(team.catalogue.instance.get_dynamic_partitions("tracks")) == ["a", "Ä (live)"]
    assert team.dead() == []
    assert team.left_in_topic() == []


def test_the_tick_says_what_it_dropped_and_why(bucket_team: Team) -> None:
    bucket_team.send(b"", attributes=upload("takes/a.flac", event="OBJECT_DELETE"))
    bucket_team.send(b"", attributes=upload("readme.txt"))

    said = str(bucket_team.evaluate().skip_reason)

    assert "pulled 2, accepted 0, dropped 1 (event_type), dropped 1 (no_source)" in said


def test_a_notification_that_was_dead_is_read_again_with_its_attributes(bucket_team: Team) -> None:
    team = bucket_team
    team.send(b"", attributes={"eventType": "OBJECT_FINALIZE"})
    team.tick()
    (dead,) = team.dead()

    send_back(team.catalogue.store, dead)
    team.tick()

    (again,) = team.dead()
    assert again.id == dead.id
    assert again.letter.attributes == {"eventType": "OBJECT_FINALIZE"}


def test_without_a_source_in_a_bucket_the_tick_fails_and_takes_nothing(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    team = Team(catalogue, pubsub_emulator, options={"decoder": StorageNotifications()})
    team.send(b"", attributes=upload("takes/a.flac"))

    with pytest.raises(ConfigError, match="no source of the group lies in Cloud Storage"):
        team.tick()

    assert len(team.left_in_topic()) == 1


def test_a_decoder_that_is_none_is_refused(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    with pytest.raises(ConfigError, match=r"decoder is 'json'; use PlainIds\(\)"):
        Team(catalogue, pubsub_emulator, options={"decoder": "json"})
