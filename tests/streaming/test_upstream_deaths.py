"""Killed at each durable step of asking upstream: nothing is lost, and little is asked twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from klio_dagster.message import decode
from klio_dagster.store.kept import all_waiting
from tests.services.pubsub import PubSubEmulator
from tests.streaming.dies_at import Death, Place, team_of
from tests.streaming.maker import MAKER

ENTITIES = ("x", "y")
PASSING_ON = "klio_dagster.defs.passing_on"
WAITING = "klio_dagster.streaming.waiting"
INTAKE = "klio_dagster.streaming.intake"
DELETES = "klio_dagster.store.store:Store.delete_many"

RUN = {
    "before they are put aside": Death(f"{PASSING_ON}:put_unasked", runs=True),
    "after they are put aside": Death(f"{PASSING_ON}:put_unasked", after=True, runs=True),
    "after the batch is removed": Death(f"{PASSING_ON}:remove_batch", after=True, runs=True),
}
ASK = {
    "before it asks": Death(f"{WAITING}:Waits._publish"),
    "after it has asked": Death(f"{WAITING}:Waits._publish", after=True),
    "after one of them waits": Death(f"{WAITING}:put_waiting", after=True),
    "after all of them wait": Death(f"{WAITING}:rewrite_unasked"),
    "after what is asked for is gone": Death(f"{WAITING}:rewrite_unasked", after=True),
}
RESUME = {
    "before the batch is written": Death(f"{INTAKE}:write_batch"),
    "after the batch is written": Death(f"{INTAKE}:write_batch", after=True),
    "after one line is deleted": Death(DELETES, after=True),
    "before the other line is deleted": Death(DELETES, nth=2),
    "after both lines are deleted": Death(DELETES, nth=2, after=True),
}
GIVE_UP = {
    "before they are buried": Death(f"{INTAKE}:put_all"),
    "after one of them is buried": Death("klio_dagster.streaming.bury:put", after=True),
    "after they are buried": Death(f"{INTAKE}:put_all", after=True),
    "after the batch that fails them is written": Death(f"{INTAKE}:write_batch", after=True),
    "after one line is deleted": Death(DELETES, after=True),
    "after both lines are deleted": Death(DELETES, nth=2, after=True),
}
ASKS_AGAIN = {"after it has asked", "after one of them waits"}


def deaths(*stages: dict[str, Death]) -> list[object]:
    return [pytest.param(name, death, id=name) for each in stages for name, death in each.items()]


class Scene:
    """A team below a maker, and what the maker hears."""

    def __init__(self, folder: Path, emulator: PubSubEmulator, **trigger: float) -> None:
        self.hears, self.maker = emulator.new_topic(), emulator.new_topic()
        topic = emulator.new_topic()
        names = [emulator.new_subscription(self.hears), topic, emulator.new_subscription(topic)]
        self._asked = emulator.new_subscription(self.maker)
        trigger = {"look_every_s": 0.0, **trigger}
        self.place = Place(str(folder), emulator.host, names, self.hears, self.maker, trigger)
        self._team = team_of(self.place)
        self.team = next(self._team)

    def close(self) -> None:
        self._team.close()

    def asked(self) -> Counter[str]:
        """How often each entity was asked for."""
        subscription = self.team.pubsub.subscription(self._asked)
        received = subscription.pull()
        subscription.acknowledge(received)
        return Counter(decode(each.data, job=MAKER).entity_id for each in received)

    def waiting(self) -> set[str]:
        return {w.asked.entity for w in all_waiting(self.team.catalogue.store, "recording")}

    def everything(self) -> set[str]:
        """Whose messages are in the inbox, wait, or are dead letters."""
        dead = {str(letter.entity) for letter in self.team.dead()}
        return {*self.team.inbox(), *self.waiting(), *dead}

    def settle(self) -> None:
        """Ticks and runs until nothing is left to do but to wait."""
        for _ in range(6):
            result = self.team.evaluate()
            for request in result.run_requests or ():
                self.team.run(request)
            if not result.run_requests and "asked for upstream" not in str(result.skip_reason):
                break
        assert self.team.inbox() == []


@pytest.fixture
def scene(tmp_path: Path, pubsub_emulator: PubSubEmulator) -> Iterator[Scene]:
    scene = Scene(tmp_path, pubsub_emulator)
    yield scene
    scene.close()


@pytest.fixture
def impatient(tmp_path: Path, pubsub_emulator: PubSubEmulator) -> Iterator[Scene]:
    scene = Scene(tmp_path, pubsub_emulator, wait_s=0.001)
    yield scene
    scene.close()


@pytest.mark.parametrize(("name", "death"), deaths(RUN, ASK))
def test_killed_before_it_waits_it_waits_and_is_asked_for(
    scene: Scene, name: str, death: Death
) -> None:
    scene.team.ask(*ENTITIES)
    if not death.runs:
        scene.team.follow()

    scene.place.dies(death)

    assert scene.everything() == set(ENTITIES)
    scene.settle()
    assert scene.waiting() == set(ENTITIES)
    asked = scene.asked()
    assert set(asked) == set(ENTITIES)
    assert max(asked.values()) == (2 if name in ASKS_AGAIN else 1)


@pytest.mark.parametrize(("name", "death"), deaths(RESUME))
def test_killed_when_its_input_has_come_it_is_computed(
    scene: Scene, name: str, death: Death
) -> None:
    scene.team.ask(*ENTITIES)
    scene.team.follow()
    scene.team.tick()
    scene.team.put(*ENTITIES)

    scene.place.dies(death)

    assert scene.everything() == set(ENTITIES)
    scene.settle()
    assert scene.team.catalogue.materialized("report") == set(ENTITIES)
    told = Counter(m.entity_id for m in scene.team.told())
    assert set(told) == set(ENTITIES)
    assert scene.everything() == set()
    assert scene.asked() == Counter(ENTITIES)


@pytest.mark.parametrize(("name", "death"), deaths(GIVE_UP))
def test_killed_when_its_time_is_over_it_is_failed_and_a_dead_letter(
    impatient: Scene, name: str, death: Death
) -> None:
    scene = impatient
    scene.team.ask(*ENTITIES)
    scene.team.follow()
    scene.place.dies(Death(f"{WAITING}:rewrite_unasked", after=True))

    scene.place.dies(death)

    assert scene.everything() == set(ENTITIES)
    scene.settle()
    assert {(d.entity, d.reason) for d in scene.team.dead()} == {
        (entity, "input_missing") for entity in ENTITIES
    }
    assert len(scene.team.dead()) == len(ENTITIES)
    failed = scene.team.catalogue.ledger.failures(["recording"], ENTITIES)
    assert {pair.entity for pair in failed} == set(ENTITIES)
    assert scene.waiting() == set()
