"""Whether it is permitted, where an emulator stands in and where Google answers."""

from collections.abc import Iterator

import grpc
import pytest
from google.iam.v1 import iam_policy_pb2

from klio_dagster.errors import PubSubError
from klio_dagster.pubsub import look
from klio_dagster.pubsub.connection import connection
from klio_dagster.pubsub.look import Looker
from klio_dagster.pubsub.settings import EMULATOR_VARIABLE, Settings
from tests.pubsub.scripted import ScriptedPubSub, failure

PERMITTED = "TestIamPermissions"
UNKNOWN = {"no such method": grpc.StatusCode.UNIMPLEMENTED, "not there": grpc.StatusCode.NOT_FOUND}


@pytest.fixture
def google(scripted: ScriptedPubSub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of the service itself; who answers is the scripted server."""
    monkeypatch.delenv(EMULATOR_VARIABLE, raising=False)
    monkeypatch.setattr(look, "connection", lambda _: connection(scripted.settings))
    return Settings("my-project", endpoint="europe-west1-pubsub.googleapis.com")


def looker(settings: Settings) -> Looker:
    return Looker(settings, "topic", "done", 5.0)


@pytest.mark.parametrize("said", UNKNOWN)
def test_an_emulator_that_keeps_no_permissions_asks_for_none(scripted: ScriptedPubSub, said: str):
    scripted.script(PERMITTED, [failure(UNKNOWN[said], "unknown")])

    assert not looker(scripted.settings).check_permitted()


@pytest.mark.parametrize("said", UNKNOWN)
def test_what_google_does_not_know_is_no_permission(
    scripted: ScriptedPubSub, google: Settings, said: str
):
    scripted.script(PERMITTED, [failure(UNKNOWN[said], "unknown")])

    with pytest.raises(PubSubError, match="projects/my-project/topics/done") as caught:
        looker(google).check_permitted()

    assert len(str(caught.value).splitlines()) == 1
    assert len(scripted.requests[PERMITTED]) == 1


def test_who_is_permitted_by_google_is_told_so(scripted: ScriptedPubSub, google: Settings):
    scripted.script(
        PERMITTED,
        [iam_policy_pb2.TestIamPermissionsResponse(permissions=["pubsub.topics.publish"])],
    )

    assert looker(google).check_permitted()
    assert scripted.headers[-1]["x-goog-request-params"] == (
        "resource=projects/my-project/topics/done"
    )
