"""Each way Pub/Sub can fail is one line that says where, what and how to mend."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.pubsub_v1.types import pubsub
from grpc import StatusCode

from klio_dagster.errors import PubSubError
from klio_dagster.pubsub import pull
from klio_dagster.pubsub.failures import Concern
from klio_dagster.pubsub.publish import Outgoing, Publisher
from klio_dagster.pubsub.pull import Subscription
from klio_dagster.pubsub.settings import Settings
from tests.pubsub.scripted import failure

WHERE = "subscription 'projects/my-project/subscriptions/tracks'"
LOG_IN = "run `gcloud auth application-default login`, or name a key in credentials_file"
GCLOUD = (
    "`CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=http://{server}/ "
    "CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true gcloud"
)
DESCRIBE = f"{GCLOUD} pubsub subscriptions describe tracks --project=my-project`"
NETWORK = "metadata from plugin failed with error: HTTPSConnectionPool(host='oauth2')"
REVOKED = "metadata from plugin failed with error: ('invalid_grant: Token has been revoked.')"

FAILURES = [
    pytest.param(
        failure(StatusCode.NOT_FOUND, "Resource not found (resource=tracks)."),
        "it does not exist on emulator at {server}; "
        f"create it: {GCLOUD} pubsub subscriptions create tracks --project=my-project "
        "--topic=TOPIC`",
        False,
        id="no such subscription",
    ),
    pytest.param(
        failure(StatusCode.NOT_FOUND, "Requested project not found (project=my-project)."),
        "no such project: Requested project not found (project=my-project); use the project's id "
        "(not its display name), and an account that may see it",
        False,
        id="no such project",
    ),
    pytest.param(
        failure(StatusCode.PERMISSION_DENIED, "User not authorized to perform\nthis action."),
        "not permitted: User not authorized to perform this action; grant roles/pubsub.subscriber: "
        f"{GCLOUD} pubsub subscriptions add-iam-policy-binding tracks --project=my-project "
        "--member=WHO --role=roles/pubsub.subscriber`",
        False,
        id="no permission",
    ),
    pytest.param(
        failure(StatusCode.PERMISSION_DENIED, "Not used before.", reason="SERVICE_DISABLED"),
        "Pub/Sub is not switched on in its project; "
        "run `gcloud services enable pubsub.googleapis.com --project=my-project`",
        False,
        id="API disabled",
    ),
    pytest.param(
        failure(StatusCode.UNAUTHENTICATED, "Invalid credentials."),
        f"not logged in: Invalid credentials; {LOG_IN}",
        False,
        id="bad credentials",
    ),
    pytest.param(
        failure(StatusCode.UNAVAILABLE, f"Getting {REVOKED}"),
        "the credentials were refused: ('invalid_grant: Token has been revoked.'); " + LOG_IN,
        False,
        id="revoked credentials",
    ),
    pytest.param(
        failure(StatusCode.UNAVAILABLE, f"Getting {NETWORK}"),
        "nobody gives a token: HTTPSConnectionPool(host='oauth2'); "
        "check the network; it is tried again by itself",
        True,
        id="no way to the token's server",
    ),
    pytest.param(
        failure(StatusCode.UNAVAILABLE, "The service was unable to fulfill your request."),
        "emulator at {server} does not answer: The service was unable to fulfill your request; "
        "start the emulator, or correct PUBSUB_EMULATOR_HOST",
        True,
        id="overloaded",
    ),
    pytest.param(
        failure(StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded."),
        "a limit was reached: Quota exceeded; "
        "send or pull less at once, or ask Google for a higher quota",
        True,
        id="quota",
    ),
    pytest.param(
        failure(StatusCode.INTERNAL, ""),
        "it failed there: InternalServerError; try again",
        True,
        id="internal, without a word",
    ),
    pytest.param(
        failure(StatusCode.FAILED_PRECONDITION, "This subscription is a push one."),
        f"refused: This subscription is a push one; compare it with {DESCRIBE}",
        False,
        id="a push subscription",
    ),
    pytest.param(
        failure(StatusCode.INVALID_ARGUMENT, "Invalid name."),
        f"refused: Invalid name; compare it with {DESCRIBE}",
        False,
        id="invalid",
    ),
]


@pytest.fixture
def in_a_hurry(monkeypatch):
    """Nothing is tried again for long."""
    monkeypatch.setattr(pull, "ANSWER_WITHIN_S", 0.4)


@pytest.mark.usefixtures("in_a_hurry")
@pytest.mark.parametrize(("status", "said", "transient"), FAILURES)
def test_a_failed_pull_is_one_line_that_says_how_to_mend(scripted, status, said, transient):
    scripted.script("Pull", [status] * 9)
    subscription = Subscription(scripted.settings, "tracks")

    with pytest.raises(PubSubError) as error:
        subscription.pull()

    server = f"127.0.0.1:{scripted.port}"
    assert str(error.value) == f"{WHERE}: {said.format(server=server)}"
    assert error.value.transient is transient


def test_a_command_for_google_itself_names_no_emulator():
    path = "projects/my-project/topics/tracks"
    concern = Concern("topic", path, "roles/pubsub.publisher", Settings("my-project"))

    assert concern.gcloud("create") == "`gcloud pubsub topics create tracks --project=my-project`"


def test_what_passes_by_itself_is_tried_again_and_never_seen(scripted):
    scripted.script("Pull", [failure(StatusCode.UNAVAILABLE), failure(StatusCode.ABORTED)])

    assert Subscription(scripted.settings, "tracks").pull() == []
    assert len(scripted.requests["Pull"]) == 3


def test_what_is_refused_is_not_tried_again(scripted):
    scripted.script("Pull", [failure(StatusCode.PERMISSION_DENIED)])

    with pytest.raises(PubSubError):
        Subscription(scripted.settings, "tracks").pull()

    assert len(scripted.requests["Pull"]) == 1


def test_the_topic_of_a_subscription_needs_another_role(scripted):
    scripted.script("GetSubscription", [failure(StatusCode.PERMISSION_DENIED, "No.")])

    with pytest.raises(PubSubError, match=r"grant roles/pubsub\.viewer"):
        Subscription(scripted.settings, "tracks").topic()


def test_a_subscription_whose_topic_was_deleted_says_so(scripted):
    scripted.script("GetSubscription", [pubsub.Subscription(topic="_deleted-topic_")])

    with pytest.raises(
        PubSubError, match=r"its topic was deleted; delete it, `CLOUDSDK.*gcloud pubsub"
    ):
        Subscription(scripted.settings, "tracks").topic()


def test_the_servers_of_the_resource_are_found_by_the_header_google_wants(scripted):
    Subscription(scripted.settings, "tracks").pull()

    header = scripted.headers[0]["x-goog-request-params"]
    assert header == "subscription=projects/my-project/subscriptions/tracks"


def test_without_credentials_one_line_says_how_to_log_in(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    with pytest.raises(PubSubError) as error:
        Subscription(Settings("my-project"), "tracks").pull()

    assert str(error.value) == (
        f"pubsub.googleapis.com: no credentials were found; {LOG_IN}, "
        "or set PUBSUB_EMULATOR_HOST to use an emulator"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param("no JSON", "Expecting value", id="no JSON"),
        pytest.param(json.dumps({"type": "service_account"}), "missing fields", id="not a key"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_named(tmp_path, content, said):
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)
    settings = Settings("my-project", credentials_file=str(file))

    with pytest.raises(PubSubError, match=said) as error:
        Publisher(settings).publish("tracks", [Outgoing(b"1")])

    assert f"1 of 1 messages were not published: credentials_file '{file}'" in str(error.value)
    assert str(error.value).endswith("name the key file of a service account")


@pytest.mark.emulator
def test_nothing_waits_longer_than_15_s_for_a_server_that_is_gone(
    emulator, publisher, subscription
):
    publisher.publish(subscription.topic(), [Outgoing(b"1")])
    received = subscription.pull()
    emulator.stop()
    calls = [
        subscription.pull,
        subscription.topic,
        lambda: subscription.acknowledge(received),
        lambda: subscription.release(received),
        lambda: publisher.publish("tracks", [Outgoing(b"1")] * 5_000),
    ]

    with ThreadPoolExecutor(len(calls)) as threads:
        waiting = [threads.submit(call) for call in calls]
        errors = [each.exception(timeout=15) for each in waiting]

    assert all(isinstance(error, PubSubError) and error.transient for error in errors)
    assert all("does not answer" in str(error) for error in errors)


@pytest.mark.emulator
def test_work_goes_on_when_the_server_is_back(emulator, settings, publisher):
    topic = emulator.new_topic("tracks-again")
    subscription = Subscription(settings, emulator.new_subscription(topic, "workers-again"))
    subscription.pull()
    emulator.stop()
    emulator.start()

    with pytest.raises(PubSubError, match="does not exist"):
        subscription.pull()
    emulator.new_topic("tracks-again")
    emulator.new_subscription(topic, "workers-again")
    publisher.publish(topic, [Outgoing(b"1")])

    assert [each.data for each in subscription.pull()] == [b"1"]
