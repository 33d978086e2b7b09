"""Two code locations with their sensors on: two code servers, a real daemon, a real web server."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.served import Project, Ui, served

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0
SENSORS = {"sound": "reconcile_sound_team", "speech": "reconcile_speech_team"}

_RUNS = """{ runsOrError { ... on Runs { results {
  status tags { key value } repositoryOrigin { repositoryLocationName } } } } }"""

_TICKS = """query ($location: String!, $name: String!) {
  sensorOrError(sensorSelector: {repositoryName: "__repository__",
    repositoryLocationName: $location, sensorName: $name}) {
  ... on Sensor { sensorState { ticks(limit: 100) { status skipReason } } } } }"""

_START = """mutation ($location: String!, $name: String!) {
  startSensor(sensorSelector: {repositoryName: "__repository__",
    repositoryLocationName: $location, sensorName: $name}) { __typename } }"""


class Teams(Project):
    """A project of two code locations, with entities that nobody has computed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "data"
        (self.store / "tracks").mkdir(parents=True)
        (folder / "workspace.yaml").write_text(
            json.dumps({"load_from": [_location(n) for n in SENSORS]})
        )
        self.put(**{f"e-{number:02}": f"track {number}" for number in range(12)})
        self.klio("entities", "sync")

    def put(self, **texts: str) -> None:
        """Recordings, all at once: a sensor may look at any time."""
        for entity, text in texts.items():
            (self.store / "tracks" / f"{entity}.txt").write_text(text)


def _location(name: str) -> dict[str, dict[str, str]]:
    module = "tests.flows.two_locations_defs"
    return {"python_module": {"module_name": module, "attribute": name, "location_name": name}}


@pytest.fixture
def teams(tmp_path: Path) -> Teams:
    return Teams(tmp_path)


@pytest.fixture
def ui(teams: Teams) -> Iterator[Ui]:
    with served(teams) as ui:
        yield ui


def runs(ui: Ui) -> list[tuple[str, str, str]]:
    """(location, entities, status) of each run, the oldest first."""
    found = [
        (
            run["repositoryOrigin"]["repositoryLocationName"],
            {tag["key"]: tag["value"] for tag in run["tags"]}["klio/entities"],
            run["status"],
        )
        for run in ui.ask(_RUNS)["runsOrError"]["results"]
    ]
    return found[::-1]


def ticks(ui: Ui, location: str) -> list[Any]:
    """The ticks of a location's sensor that have ended, the newest first."""
    found = ui.ask(_TICKS, location=location, name=SENSORS[location])["sensorOrError"]
    return [t for t in found["sensorState"]["ticks"] if t["status"] != "STARTED"]


def wait(is_so: Callable[[], bool], ui: Ui) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, (runs(ui), {n: ticks(ui, n)[:3] for n in SENSORS})
        time.sleep(0.5)


def come_to_rest(ui: Ui, said: dict[str, str]) -> None:
    """Wait until the last two ticks of each sensor have asked for nothing, and said this."""
    wait(
        lambda: all(
            [tick["skipReason"] for tick in ticks(ui, location)[:2]] == [reason] * 2
            for location, reason in said.items()
        ),
        ui,
    )


def test_a_group_follows_one_of_another_code_location(teams: Teams, ui: Ui) -> None:
    come_to_rest(ui, {"sound": "12 up to date"})
    assert runs(ui) == [("sound", "12", "SUCCESS")]

    ui.ask(_START, location="speech", name=SENSORS["speech"])
    come_to_rest(ui, dict.fromkeys(SENSORS, "12 up to date"))
    first = [("sound", "12", "SUCCESS"), ("speech", "12", "SUCCESS")]
    assert runs(ui) == first

    teams.klio("entities", "add", "new")
    # One is replaced, one is new, and one is made again to the very same output.
    teams.put(**{"e-03": "another", "e-07": "track 7\n", "new": "a thirteenth"})
    come_to_rest(ui, dict.fromkeys(SENSORS, "13 up to date"))
    assert runs(ui) == [*first, ("sound", "3", "SUCCESS"), ("speech", "2", "SUCCESS")]
    recorded = str({"id": "new", "text": "a thirteenth"})
    words = (teams.folder / "speech" / "words" / "new.json").read_text()
    assert json.loads(words) == {"n": len(recorded)}
