"""A message while a backfill goes on: `klio dev`'s own settings, a real daemon, the emulator."""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import dagster as dg
import pytest

from klio_dagster.defs.lanes import LANE_TAG, MESSAGES, OTHERS
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.partitions import register
from klio_dagster.ledger.ledger import ledger_of
from klio_dagster.message import encode, new_message
from klio_dagster.pubsub.publish import Outgoing, Publisher
from klio_dagster.pubsub.settings import Settings
from tests.services.pubsub import PubSubEmulator
from tests.ui.served import Project, Ui, served

pytestmark = [pytest.mark.slow, pytest.mark.emulator]

MESSAGES_EACH = 3
MOST_TIMES_SLOWER = 3.0
LONGEST_S = 240.0

_BACKFILL = """mutation ($entities: [String!]) { launchPartitionBackfill(backfillParams: {
  assetSelection: [{path: ["only"]}], partitionNames: $entities}) {
    __typename ... on PythonError { message } } }"""


class Lanes(Project):
    """A project that hears messages; its home is made by `klio dev`."""

    def __init__(self, folder: Path, settings: Settings, topic: str) -> None:
        self.folder = folder
        (folder / "workspace.yaml").write_text(
            "load_from:\n  - python_module:\n      module_name: tests.streaming.lanes_defs\n"
            "      location_name: lanes\n"
        )
        self._publisher, self._topic = Publisher(settings), topic

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.folder / ".klio"))

    def seconds_of_a_message(self, instance: dg.DagsterInstance, entity: str) -> float:
        """From its publication to its record."""
        ledger = ledger_of(instance, describe=metadata_of)
        begun = time.monotonic()
        self._publisher.publish(self._topic, [Outgoing(encode(new_message(entity)))])
        while not ledger.records(["only"], [entity])["only"]:
            assert time.monotonic() - begun < LONGEST_S, "it is not recorded"
            time.sleep(0.1)
        return time.monotonic() - begun


@pytest.fixture
def lanes(tmp_path: Path, pubsub_emulator: PubSubEmulator, monkeypatch: pytest.MonkeyPatch):
    topic = pubsub_emulator.new_topic()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator.host)
    monkeypatch.setenv("LANES_SUBSCRIPTION", pubsub_emulator.new_subscription(topic))
    return Lanes(tmp_path, Settings(pubsub_emulator.project), topic)


@pytest.mark.parametrize(
    "entities",
    [
        pytest.param([f"e-{n}" for n in range(10_000)], id="10,000 entities in ten runs"),
        pytest.param([f"slow-{n}" for n in range(400)], id="a run of minutes"),
    ],
)
def test_a_message_does_not_wait_for_a_backfill(lanes: Lanes, entities: Sequence[str]) -> None:
    with served(lanes) as ui, lanes.instance() as instance:
        register(instance, "entities", entities)
        lanes.seconds_of_a_message(instance, "warm-up")
        idle = [lanes.seconds_of_a_message(instance, f"a-{n}") for n in range(MESSAGES_EACH)]
        begin_backfill(ui, instance, entities)

        busy = [lanes.seconds_of_a_message(instance, f"b-{n}") for n in range(MESSAGES_EACH)]

        assert in_lane(instance, OTHERS), "the backfill ended too early to tell anything"
        at_work = {
            lane: len(in_lane(instance, lane, dg.DagsterRunStatus.STARTED)) for lane in LANES
        }
    print(f"idle {idle}, busy {busy}")
    assert at_work[OTHERS] <= 1
    assert median(busy) <= MOST_TIMES_SLOWER * median(idle)


LANES = (MESSAGES, OTHERS)
NOT_ENDED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


def in_lane(
    instance: dg.DagsterInstance, lane: str, *statuses: dg.DagsterRunStatus
) -> Sequence[dg.DagsterRun]:
    wanted = dg.RunsFilter(tags={LANE_TAG: lane}, statuses=statuses or NOT_ENDED)
    return instance.get_runs(wanted)


def begin_backfill(ui: Ui, instance: dg.DagsterInstance, entities: Sequence[str]) -> None:
    answer = ui.ask(_BACKFILL, entities=entities)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    end = time.monotonic() + LONGEST_S
    while not in_lane(instance, OTHERS, dg.DagsterRunStatus.STARTED):
        assert time.monotonic() < end, "the backfill does not begin"
        time.sleep(0.2)
