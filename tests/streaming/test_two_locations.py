"""Two code locations joined by a topic: code servers, a real daemon, a web server, an emulator."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from klio_dagster.core.job import JobId
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.message import Anyone, Limited, Message, decode, encode, new_message
from klio_dagster.pubsub.publish import Outgoing
from tests.services.pubsub import PubSubEmulator
from tests.ui.served import Project, Ui, served

pytestmark = pytest.mark.slow

PATIENCE_S = 240.0
_RUNS = "{ runsOrError { ... on Runs { results { status } } } }"


class Teams(Project):
    """A project of two code locations, its topics, and nothing computed."""

    def __init__(self, folder: Path, emulator: PubSubEmulator) -> None:
        self.folder = folder
        self.store = folder / "data"
        (self.store / "tracks").mkdir(parents=True)
        (folder / "workspace.yaml").write_text(
            json.dumps({"load_from": [_location(name) for name in ("sound", "speech")]})
        )
        self.sound, self.speech = (JobId(emulator.project, name) for name in ("sound", "speech"))
        topics = {name: emulator.new_topic() for name in ("sound_in", "sound_done", "speech_done")}
        self._done = emulator.new_subscription(topics["speech_done"])
        self.names = {
            "project": emulator.project,
            **topics,
            "sound_subscription": emulator.new_subscription(topics["sound_in"]),
            "speech_subscription": emulator.new_subscription(topics["sound_done"]),
        }
        self._pubsub = KlioPubSubResource(project=emulator.project, emulator_host=emulator.host)
        self._told: list[Message] = []

    def put(self, *entities: str) -> None:
        for entity in entities:
            (self.store / "tracks" / f"{entity}.txt").write_text("text")

    def ask(self, topic: str, entity: str, **said: Any) -> None:
        data = encode(new_message(entity, **said))
        self._pubsub.publisher().publish(self.names[topic], [Outgoing(data)])

    def told(self) -> dict[str, Message]:
        """What came out at the end, an entity each."""
        subscription = self._pubsub.subscription(self._done)
        received = subscription.pull()
        subscription.acknowledge(received)
        self._told += [decode(each.data, job=self.speech) for each in received]
        assert len({m.entity_id for m in self._told}) == len(self._told), "told once of each"
        return {message.entity_id: message for message in self._told}

    def made(self, asset: str) -> set[str]:
        with dg.DagsterInstance.from_config(str(self.folder / ".klio")) as instance:
            return set(instance.get_materialized_partitions(dg.AssetKey(asset)))


def _location(name: str) -> dict[str, dict[str, str]]:
    module = "tests.streaming.two_teams_defs"
    return {"python_module": {"module_name": module, "attribute": name, "location_name": name}}


@pytest.fixture
def teams(
    tmp_path: Path, pubsub_emulator: PubSubEmulator, monkeypatch: pytest.MonkeyPatch
) -> Teams:
    teams = Teams(tmp_path, pubsub_emulator)
    monkeypatch.setenv("TWO_TEAMS", json.dumps(teams.names))
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator.host)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", pubsub_emulator.project)
    return teams


@pytest.fixture
def ui(teams: Teams) -> Iterator[Ui]:
    with served(teams) as ui:
        yield ui


def wait(is_so: Callable[[], bool], teams: Teams, ui: Ui) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        said = (teams.told(), teams.made("recording"), teams.made("words"), ui.ask(_RUNS))
        assert time.monotonic() < deadline, said
        time.sleep(1.0)


def test_two_teams_work_through_a_topic_alone(teams: Teams, ui: Ui) -> None:
    teams.put("Down", "Up", "only-sound", "pinged")

    teams.ask("sound_in", "Down")
    teams.ask("sound_done", "Up", to=Limited((teams.speech,)))
    teams.ask("sound_in", "only-sound", to=Limited((teams.sound,)))
    teams.ask("sound_in", "pinged", ping=True)
    wait(lambda: teams.told().keys() >= {"Down", "Up", "pinged"}, teams, ui)
    wait(lambda: "only-sound" in teams.made("recording"), teams, ui)

    assert teams.made("recording") == {"Down", "Up", "only-sound"}
    assert teams.made("words") == {"Down", "Up"}
    told = teams.told()
    assert isinstance(told["Down"].recipients, Anyone)
    assert isinstance(told["Up"].recipients, Limited), "its mode came back with it"
    through = [entry.job for entry in told["pinged"].audit_log]
    assert through == [teams.sound, teams.speech]
    runs = ui.ask(_RUNS)["runsOrError"]["results"]
    assert {run["status"] for run in runs} == {"SUCCESS"}
    left = [p for p in teams.folder.glob("*/_klio/waiting/**/*") if p.is_file()]
    assert left == []
