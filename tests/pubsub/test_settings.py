"""How Pub/Sub is named: projects, topics, subscriptions, emulators."""

import pytest

from klio_dagster.errors import ConfigError
from klio_dagster.pubsub.settings import Settings, subscription_path, topic_path


def test_a_short_name_belongs_to_the_project():
    settings = Settings("my-project")

    assert topic_path(settings, "tracks") == "projects/my-project/topics/tracks"
    assert subscription_path(settings, "tracks") == "projects/my-project/subscriptions/tracks"


def test_a_full_name_needs_no_project_and_may_be_of_another_one():
    path = "projects/example.com:their-project/topics/tracks-1.new_~+%25"

    assert topic_path(Settings(), path) == path
    assert topic_path(Settings("my-project"), path) == path


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("ab", id="too short"),
        pytest.param("a" * 256, id="too long"),
        pytest.param("1tracks", id="begins with a digit"),
        pytest.param("google-tracks", id="Google's own"),
        pytest.param("tracks new", id="a space"),
        pytest.param("tracks\n", id="a line's end"),
        pytest.param("topics/tracks", id="half a path"),
        pytest.param("projects/my-project/subscriptions/tracks", id="a subscription"),
        pytest.param("projects//topics/tracks", id="no project"),
        pytest.param("projects/my-project/topics/ab", id="a full path of a short name"),
        pytest.param("projects/my-project/topics/tracks/more", id="more than a path"),
    ],
)
def test_what_pubsub_would_refuse_is_refused_in_one_line(name):
    with pytest.raises(ConfigError, match="no name that Pub/Sub takes") as error:
        topic_path(Settings("my-project"), name)

    assert "\n" not in str(error.value)
    assert repr(name) in str(error.value)


def test_a_short_name_without_a_project_says_where_to_set_it():
    with pytest.raises(ConfigError) as error:
        topic_path(Settings(), "tracks")

    assert str(error.value) == (
        "topic 'tracks': its project is not known; set project= of the KlioPubSubResource "
        "(pubsub= of the KlioResource or the sensor) or GOOGLE_CLOUD_PROJECT, or name it in "
        "full: projects/PROJECT/topics/tracks"
    )


def test_what_is_not_given_is_taken_from_the_environment(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-the-environment")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "localhost:8085")

    assert Settings() == Settings("of-the-environment", emulator_host="localhost:8085")
    assert Settings("", emulator_host="") == Settings()
    assert Settings("mine", emulator_host="[::1]:1").project == "mine"
    assert Settings("mine", emulator_host="[::1]:1").emulator_host == "[::1]:1"


def test_an_emulator_may_be_written_like_an_address():
    assert Settings(emulator_host="http://127.0.0.1:8085/").emulator_host == "127.0.0.1:8085"


@pytest.mark.parametrize("host", ["localhost", "8085", "localhost:", "localhost:8085/v1", "a b:1"])
def test_an_emulator_without_a_port_is_refused(host):
    with pytest.raises(ConfigError, match=r"write it like 127\.0\.0\.1:8085"):
        Settings(emulator_host=host)
