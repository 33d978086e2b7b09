"""Backfills as the web page starts them: its own mutation, a real web server, a real daemon."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.ui.served import Project, Ui, served

_PATIENCE_S = 900  # a thousand entities in a run for each gap
ASSETS = ("recording", "mel", "letters")
SIZES = [
    pytest.param((40, 1, 1), id="40-entities", marks=pytest.mark.slow),
    pytest.param((1000, 20, 10), id="1000-entities", marks=pytest.mark.slow),
]

_LAUNCH = """mutation ($assets: [AssetKeyInput!], $entities: [String!]) {
  launchPartitionBackfill(backfillParams: {assetSelection: $assets, partitionNames: $entities}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""

_STATE = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status assetBackfillData { assetBackfillStatuses {
    ... on AssetPartitionsStatusCounts { assetKey { path } numPartitionsTargeted
      numPartitionsMaterialized numPartitionsFailed } } } } } }"""

_RUNS = """query ($tags: [ExecutionTag!], $job: String) {
  runsOrError(filter: {tags: $tags, pipelineName: $job}) {
    ... on Runs { results { status tags { key value } } } } }"""

_PARTITIONS = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
  ... on AssetNode {
  assetPartitionStatuses { ... on DefaultPartitionStatuses {
    materializedPartitions failedPartitions unmaterializedPartitions } } } } }"""

_NEWEST = """query ($key: AssetKeyInput!, $entity: String!) { assetNodeOrError(assetKey: $key) {
  ... on AssetNode { latestMaterializationByPartition(partitions: [$entity]) {
    runId metadataEntries { label ... on MarkdownMetadataEntry { mdStr } } } } } }"""

_SENSOR = """{ sensorsOrError(repositorySelector: {repositoryName: "__repository__",
  repositoryLocationName: "teams"}) { ... on Sensors { results { name
    sensorState { selectorId ticks(limit: 1000) { status runIds } } } } } }"""

_START = """mutation { startSensor(sensorSelector: {repositoryName: "__repository__",
  repositoryLocationName: "teams", sensorName: "automation"}) { __typename } }"""

_LAUNCH_JOB = """mutation { launchRun(executionParams: {selector: {jobName: "repair_first_team",
  repositoryName: "__repository__", repositoryLocationName: "teams"}, runConfigData: {}}) {
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


class Teams(Project):
    """A project of two groups, with entities of which some have not been asked for.

    Args:
        folder: of the test.
        size: how many entities, how many gaps between those asked for, how many are bad.
    """

    def __init__(self, folder: Path, size: tuple[int, int, int]) -> None:
        self.folder = folder
        self.store = folder / "data"
        (self.store / "tracks").mkdir(parents=True)
        (folder / "workspace.yaml").write_text(
            "load_from:\n  - python_module:\n      module_name: tests.flows.backfill_defs\n"
            "      location_name: teams\n"
        )
        number, gaps, bad = size
        self.entities = [f"e-{n:04}" for n in range(number)]
        self.gaps = self.entities[number // (gaps + 1) :: number // (gaps + 1)][:gaps]
        self.asked = [e for e in self.entities if e not in self.gaps]
        self.bad = self.asked[5 :: number // bad][:bad]
        for entity in self.entities:
            self.put(entity, "bad" if entity in self.bad else f"track {entity}")

    def put(self, entity: str, text: str) -> None:
        (self.store / "tracks" / f"{entity}.txt").write_text(text)


@pytest.fixture(scope="module", params=SIZES)
def teams(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Teams:
    teams = Teams(tmp_path_factory.mktemp("teams"), request.param)
    teams.klio("entities", "sync")
    return teams


@pytest.fixture(scope="module")
def ui(teams: Teams) -> Iterator[Ui]:
    with served(teams) as ui:
        yield ui


def key(asset: str) -> dict[str, list[str]]:
    return {"path": [asset]}


def runs(ui: Ui, job: str | None = None, **tags: str) -> list[Any]:
    wanted = [{"key": k.replace("__", "/"), "value": value} for k, value in tags.items()]
    return ui.ask(_RUNS, tags=wanted or None, job=job)["runsOrError"]["results"]


class Backfill(NamedTuple):
    """How a backfill ended."""

    entities: list[str]
    status: str
    counts: dict[str, tuple[int, int, int]]
    """Of each asset: asked for, materialised, failed."""
    runs: int


def backfill(ui: Ui, entities: list[str]) -> Backfill:
    """Start one, and wait for its end."""
    launched = ui.ask(_LAUNCH, assets=[key(asset) for asset in ASSETS], entities=entities)
    backfill = launched["launchPartitionBackfill"]["backfillId"]

    def ended(answer: Any) -> bool:
        return answer["partitionBackfillOrError"]["status"].startswith("COMPLETED")

    state = ui.poll(_STATE, ended, id=backfill, patience_s=_PATIENCE_S)["partitionBackfillOrError"]
    counts = {
        each["assetKey"]["path"][0]: (
            each["numPartitionsTargeted"],
            each["numPartitionsMaterialized"],
            each["numPartitionsFailed"],
        )
        for each in state["assetBackfillData"]["assetBackfillStatuses"]
    }
    return Backfill(entities, state["status"], counts, len(runs(ui, dagster__backfill=backfill)))


def failed_and_missing(ui: Ui, asset: str) -> list[str]:
    """What the button of that name selects."""
    statuses = ui.ask(_PARTITIONS, key=key(asset))["assetNodeOrError"]["assetPartitionStatuses"]
    return sorted({*statuses["failedPartitions"], *statuses["unmaterializedPartitions"]})


def ticks(ui: Ui) -> list[Any]:
    sensors = ui.ask(_SENSOR)["sensorsOrError"]["results"]
    return next(s["sensorState"]["ticks"] for s in sensors if s["name"] == "automation")


def more_ticks(ui: Ui, number: int) -> None:
    """Wait until the automation has been evaluated so often from now on."""
    before = len(ticks(ui))

    def come(answer: Any) -> bool:
        (sensor,) = answer["sensorsOrError"]["results"]
        done = [t for t in sensor["sensorState"]["ticks"] if t["status"] != "STARTED"]
        return len(done) >= before + number

    ui.poll(_SENSOR, come)


@pytest.fixture(scope="module")
def first(teams: Teams, ui: Ui) -> Backfill:
    """Of all entities but the gaps; nothing was computed before."""
    return backfill(ui, teams.asked)


@pytest.fixture(scope="module")
def again(teams: Teams, ui: Ui, first: Backfill) -> Backfill:
    """Of what had failed, which is mended now, and what was missing."""
    for entity in teams.bad:
        teams.put(entity, "mended")
    return backfill(ui, failed_and_missing(ui, "mel"))


def test_a_backfill_counts_what_it_made_and_what_failed(teams: Teams, first: Backfill) -> None:
    good, bad = len(teams.asked) - len(teams.bad), len(teams.bad)

    assert first.status == "COMPLETED_FAILED"
    assert first.counts == dict.fromkeys(ASSETS, (good + bad, good, bad))
    assert first.runs == len(teams.gaps) + 1, "Dagster makes one for each range between two gaps"


def test_failed_and_missing_selects_what_is_left(teams: Teams, ui: Ui, again: Backfill) -> None:
    left = len(teams.bad) + len(teams.gaps)

    assert again.entities == sorted([*teams.bad, *teams.gaps])
    assert again.status == "COMPLETED_SUCCESS"
    assert again.counts == dict.fromkeys(ASSETS, (left, left, 0))
    assert again.runs == left, "they are scattered"
    assert failed_and_missing(ui, "mel") == []


def test_scattered_failures_are_mended_by_one_run_of_the_repair_job(
    teams: Teams, ui: Ui, again: Backfill
) -> None:
    for entity in teams.bad:
        teams.put(entity, "bad")
    teams.klio("run", "--select", "recording+")
    assert failed_and_missing(ui, "mel") == sorted(teams.bad)
    for entity in teams.bad:
        teams.put(entity, "mended once more")

    ui.ask(_LAUNCH_JOB)

    def ended(answer: Any) -> bool:
        return [
            r["status"] in {"SUCCESS", "FAILURE"} for r in answer["runsOrError"]["results"]
        ] == [True]

    answer = ui.poll(_RUNS, ended, tags=None, job="repair_first_team")
    assert answer["runsOrError"]["results"][0]["status"] == "SUCCESS"
    assert failed_and_missing(ui, "mel") == []


def test_a_backfill_of_what_is_up_to_date_asks_for_nothing_downstream(teams: Teams, ui: Ui) -> None:
    teams.klio("run")
    ui.ask(_START)
    more_ticks(ui, 1)

    skipping = backfill(ui, teams.entities)
    more_ticks(ui, 3)

    everything = len(teams.entities)
    assert (skipping.status, skipping.runs) == ("COMPLETED_SUCCESS", 1)
    assert skipping.counts == dict.fromkeys(ASSETS, (everything, everything, 0))
    assert runs(ui, dagster__from_automation_condition="true") == []
    (made,) = ui.ask(_NEWEST, key=key("letters"), entity=teams.entities[0])["assetNodeOrError"][
        "latestMaterializationByPartition"
    ]
    shown = {entry["label"]: entry.get("mdStr") for entry in made["metadataEntries"]}
    assert shown["dot"].startswith("![dot](data:image/png;base64,")
    assert "computed_by" in shown, "it is the copy that is shown"

    teams.put(teams.entities[0], "another recording")
    teams.klio("run", "--select", "key:recording or key:mel or key:letters")

    def asked(answer: Any) -> bool:
        return [r["status"] for r in answer["runsOrError"]["results"]] == ["SUCCESS"]

    automated = [{"key": "dagster/from_automation_condition", "value": "true"}]
    answer = ui.poll(_RUNS, asked, tags=automated, job=None)
    tags = {t["key"]: t["value"] for t in answer["runsOrError"]["results"][0]["tags"]}
    assert tags["dagster/partition"] == teams.entities[0]
