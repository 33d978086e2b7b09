"""Topics and subscriptions as they are at the emulator, and as a server says what it cannot."""

import grpc
import pytest
from google.iam.v1 import iam_policy_pb2
from google.pubsub_v1.types import pubsub

from klio_dagster.errors import ConfigError
from klio_dagster.observe.doctor.examine import examine
from klio_dagster.observe.doctor.finding import Verdict
from klio_dagster.observe.doctor.messages import Listener, Told, message_checks
from klio_dagster.pubsub.settings import Settings
from tests.observe.doctored import of, verdicts
from tests.pubsub.scripted import ScriptedPubSub, failure

PERMITTED = "TestIamPermissions"
TOPIC = "projects/klio-tests/topics/done"


@pytest.fixture
def emulator(pubsub_emulator):
    pubsub_emulator.start()
    return pubsub_emulator


@pytest.fixture
def scripted():
    with ScriptedPubSub() as server:
        yield server


def at(server):
    return lambda: Settings("klio-tests", emulator_host=server.host)


def listening(server, *names, sensor="messages", is_on=True):
    listeners = [
        Listener(sensor=f"{sensor}_{n}", subscription=name, settings=at(server), is_on=is_on)
        for n, name in enumerate(names)
    ]
    return examine(message_checks(listeners, []), within_s=30).findings


def telling(server, topic=TOPIC):
    told = Told(group="sizes", topic=topic, settings=at(server))
    return examine(message_checks([], [told]), within_s=30).findings


def allows(*permissions):
    return iam_policy_pb2.TestIamPermissionsResponse(permissions=permissions)


def subscription(**fields):
    """As Google describes one."""
    usual = {
        "name": "projects/klio-tests/subscriptions/asked",
        "topic": TOPIC,
        "ack_deadline_seconds": 10,
        "message_retention_duration": {"seconds": 7 * 86400},
    }
    return pubsub.Subscription({**usual, **fields})


@pytest.mark.emulator
def test_an_emulator_has_them_and_asks_nobody_for_permission(emulator):
    topic = emulator.new_topic()
    name = emulator.new_subscription(topic, enable_exactly_once_delivery=True)

    heard, told = listening(emulator, name), telling(emulator, topic)

    assert verdicts(heard) == dict.fromkeys(("exists", "deadline", "retention", "permitted"), "ok")
    assert f"on {topic}, exactly once" in of(heard, "exists").said
    assert of(heard, "deadline").figures == {"ack_deadline_s": 10}
    assert verdicts(told) == {"exists": "ok", "permitted": "ok"}
    assert of(told, "permitted").said == "nobody asks for permission here"


@pytest.mark.emulator
def test_what_is_missing_is_told_with_the_command_that_makes_it(emulator):
    heard, told = listening(emulator, "nowhere"), telling(emulator)

    assert verdicts(heard) == {"exists": "fail"}
    assert "gcloud pubsub subscriptions create nowhere" in heard[0].remedy
    assert verdicts(told) == {"exists": "fail"}
    assert "gcloud pubsub topics create done" in told[0].remedy


@pytest.mark.emulator
def test_a_subscription_whose_topic_was_deleted_hears_nothing(emulator):
    topic = emulator.new_topic()
    name = emulator.new_subscription(topic)
    emulator.delete_topic(topic)

    found = listening(emulator, name)

    assert of(found, "exists").verdict is Verdict.FAIL
    assert "deleted" in of(found, "exists").said


def test_a_server_that_is_not_there_is_told_and_no_failure_while_the_sensor_rests():
    nobody = type("Nobody", (), {"host": "127.0.0.1:1"})

    on, off = listening(nobody, "tracks"), listening(nobody, "tracks", is_on=False)

    assert [each.verdict for each in on] == [Verdict.FAIL]
    assert [each.verdict for each in off] == [Verdict.WARN]
    assert "start the emulator" in on[0].remedy
    assert "its sensor is not switched on" in off[0].said


def test_a_permission_that_lacks_is_told_with_the_command_that_grants_it(scripted):
    scripted.answers["GetSubscription"] = [subscription()]
    scripted.answers["GetTopic"] = [pubsub.Topic(name=TOPIC)]
    scripted.answers[PERMITTED] = [allows(), allows()]

    heard, told = listening(scripted, "asked"), telling(scripted)

    assert of(heard, "permitted").verdict is Verdict.FAIL
    assert "--role=roles/pubsub.subscriber" in of(heard, "permitted").remedy
    assert of(told, "permitted").verdict is Verdict.FAIL
    assert "--role=roles/pubsub.publisher" in of(told, "permitted").remedy
    assert [each.permissions[0] for each in scripted.requests[PERMITTED]] == [
        "pubsub.subscriptions.consume",
        "pubsub.topics.publish",
    ]


def test_who_may_pull_and_not_look_is_only_warned(scripted):
    closed = failure(grpc.StatusCode.PERMISSION_DENIED, "no")
    scripted.answers["GetSubscription"] = [closed]
    scripted.answers["GetTopic"] = [closed]
    scripted.answers[PERMITTED] = [
        allows("pubsub.subscriptions.consume"),
        allows("pubsub.topics.publish"),
    ]

    heard, told = listening(scripted, "asked"), telling(scripted)

    assert verdicts(heard) == {"exists": "warn", "permitted": "ok"}
    assert "roles/pubsub.viewer" in of(heard, "exists").remedy
    assert verdicts(told) == {"permitted": "ok"}


@pytest.mark.parametrize(
    ("fields", "what", "verdict", "remedy"),
    [
        pytest.param(
            {"dead_letter_policy": {"dead_letter_topic": TOPIC, "max_delivery_attempts": 5}},
            "dead letters",
            "warn",
            "--clear-dead-letter-policy",
            id="messages are taken from us",
        ),
        pytest.param(
            {"dead_letter_policy": {"dead_letter_topic": TOPIC, "max_delivery_attempts": 100}},
            "dead letters",
            "ok",
            "",
            id="patient dead letters",
        ),
        pytest.param(
            {"message_retention_duration": {"seconds": 600}},
            "retention",
            "warn",
            "--message-retention-duration=7d",
            id="lost after ten minutes",
        ),
        pytest.param(
            {"expiration_policy": {"ttl": {"seconds": 86400}}},
            "retention",
            "warn",
            "--expiration-period=never",
            id="deleted after a day",
        ),
        pytest.param(
            {"ack_deadline_seconds": 600}, "deadline", "warn", "--ack-deadline=60", id="deadline"
        ),
        pytest.param(
            {"push_config": {"push_endpoint": "https://example.com"}},
            "delivery",
            "fail",
            "pulled from",
            id="pushed",
        ),
    ],
)
def test_settings_that_do_harm_are_told(scripted, fields, what, verdict, remedy):
    scripted.answers["GetSubscription"] = [subscription(**fields)]
    scripted.answers[PERMITTED] = [allows("pubsub.subscriptions.consume")]

    found = listening(scripted, "asked")

    assert verdicts(found)[what] == verdict
    assert remedy in of(found, what).remedy
    assert [each.what for each in found if each.verdict is not Verdict.OK] in ([], [what])


def test_a_topic_with_a_schema_is_a_warning(scripted):
    scripted.answers["GetTopic"] = [
        pubsub.Topic(name=TOPIC, schema_settings={"schema": "projects/p/schemas/s"})
    ]
    scripted.answers[PERMITTED] = [allows("pubsub.topics.publish")]

    assert verdicts(telling(scripted)) == {"exists": "warn", "permitted": "ok"}


def test_two_sensors_of_one_subscription_take_from_each_other(scripted):
    scripted.answers["GetSubscription"] = [subscription()]
    scripted.answers[PERMITTED] = [allows("pubsub.subscriptions.consume")]

    found = listening(scripted, "asked", "asked")

    assert "messages_0, messages_1" in of(found, "sensors").said
    assert len(scripted.requests["GetSubscription"]) == 1


def in_project(server, project):
    return lambda: Settings(project, emulator_host=server.host)


def test_one_name_in_two_projects_is_two_topics(scripted):
    scripted.answers["GetTopic"] = [pubsub.Topic(name=TOPIC), pubsub.Topic(name=TOPIC)]
    scripted.answers[PERMITTED] = [allows("pubsub.topics.publish")] * 2
    told = [
        Told(group=f"of {project}", topic="done", settings=in_project(scripted, project))
        for project in ("north", "south", "south")
    ]

    found = examine(message_checks([], told), within_s=30).findings

    paths = {"projects/north/topics/done", "projects/south/topics/done"}
    assert {each.where for each in found} == paths
    assert sorted(each.topic for each in scripted.requests["GetTopic"]) == sorted(paths)


def test_two_sensors_of_one_name_in_two_projects_take_nothing_from_each_other(scripted):
    scripted.answers["GetSubscription"] = [subscription(), subscription()]
    scripted.answers[PERMITTED] = [allows("pubsub.subscriptions.consume")] * 2
    listeners = [
        Listener(
            sensor=f"sensor_{project}",
            subscription="asked",
            settings=in_project(scripted, project),
            is_on=True,
        )
        for project in ("north", "south")
    ]

    found = examine(message_checks(listeners, []), within_s=30).findings

    assert "sensors" not in verdicts(found)
    assert {each.where for each in found} == {
        "projects/north/subscriptions/asked",
        "projects/south/subscriptions/asked",
    }


def test_a_full_path_and_a_short_name_of_one_subscription_are_one(scripted):
    scripted.answers["GetSubscription"] = [subscription()]
    scripted.answers[PERMITTED] = [allows("pubsub.subscriptions.consume")]

    found = listening(scripted, "asked", "projects/klio-tests/subscriptions/asked")

    assert "messages_0, messages_1" in of(found, "sensors").said
    assert len(scripted.requests["GetSubscription"]) == 1


def test_a_setting_that_is_wrong_is_a_finding():
    def broken():
        raise ConfigError("the variable X is not set", "project of the KlioPubSubResource", "set X")

    told = Told(group="sizes", topic="done", settings=broken)

    (found,) = examine(message_checks([], [told]), within_s=10).findings

    assert (found.verdict, found.remedy) == (Verdict.FAIL, "set X")
