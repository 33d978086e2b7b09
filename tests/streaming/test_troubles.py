"""What happens to messages on their way that nobody planned: every one of them is recorded."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import dagster as dg
import pytest

from klio_dagster.errors import PubSubError, StoreUnavailableError
from klio_dagster.ledger.run_process import process_tags
from klio_dagster.message import encode, new_message
from klio_dagster.pubsub.pull import Subscription
from klio_dagster.store.inbox import write_batch
from klio_dagster.store.processes import Process
from klio_dagster.streaming import intake
from klio_dagster.streaming.requests import ATTEMPT_TAG
from tests.flows.catalogue import Catalogue, all_of
from tests.services.pubsub import NOT_THERE, PubSubEmulator, program
from tests.streaming.team import Team

pytestmark = pytest.mark.emulator


@pytest.fixture
def own_emulator() -> Iterator[PubSubEmulator]:
    """One that may be stopped."""
    command = program()
    if command is None:
        pytest.skip(NOT_THERE)
    emulator = PubSubEmulator(command)
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.remove()


def entities(number: int) -> list[str]:
    return [f"e-{n}" for n in range(number)]


def created(team: Team, request: dg.RunRequest) -> dg.DagsterRun:
    """What the daemon makes of a request first."""
    run = dg.DagsterRun(job_name=team.sensor.name, tags=request.tags)
    return team.catalogue.instance.add_run(run)


def assert_done(team: Team, *asked: str) -> None:
    """Recorded, passed on once each, and nothing is left."""
    assert team.catalogue.materialized("report") == set(asked)
    assert Counter(m.entity_id for m in team.told()) == Counter(asked)
    assert team.inbox() == []
    assert team.dead() == []
    assert team.left_in_topic() == []


# ------------------------------------------------------------------ runs that come to nothing


def fails_to_launch(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(run, "the launcher raised")


def is_cancelled_while_queued(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_canceled(run)


def is_deleted(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.delete_run(run.run_id)


def dies_before_its_claim(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        tags = process_tags(run.run_id, Process.of(process.pid))
        process.kill()
    instance.add_run_tags(run.run_id, tags)


@pytest.mark.parametrize(
    "end", [fails_to_launch, is_cancelled_while_queued, is_deleted, dies_before_its_claim]
)
def test_a_batch_is_asked_for_again_when_its_run(
    team: Team, end: Callable[[dg.DagsterInstance, dg.DagsterRun], None]
) -> None:
    team.put("a")
    team.ask("a")
    (first,) = team.tick()
    run = created(team, first)
    assert team.tick() == [], "the run is on its way"

    end(team.catalogue.instance, run)

    (again,) = team.tick()
    assert again.tags[ATTEMPT_TAG] == ("1" if end is is_deleted else "2")
    assert team.run(again).counts("materialized") == all_of(1)
    assert_done(team, "a")


def test_code_that_is_deployed_between_tick_and_launch_computes_it(team: Team) -> None:
    team.put("a")
    team.ask("a")
    (request,) = team.tick()
    team.factor = 2
    team.deploy()

    run = team.run(request)

    assert run.counts("materialized") == all_of(1)
    assert set(team.catalogue.reasons(team.assets, "a").values()) == {"up_to_date"}
    assert_done(team, "a")


def test_a_batch_whose_entities_are_computed_meanwhile_is_only_passed_on(team: Team) -> None:
    team.put("a")
    team.ask("a")
    (request,) = team.tick()
    team.run(request)
    assert [m.entity_id for m in team.told()] == ["a"]

    again = team.run(request)  # by a second daemon

    assert again.counts("materialized") == all_of(0)
    assert team.inbox() == []


# ------------------------------------------------------------------ messages that come strangely


def test_duplicates_within_and_across_ticks_are_computed_once(team: Team) -> None:
    team.put(*entities(5))
    for _ in range(3):
        team.ask(*entities(5), *entities(5))
        team.tick()

    runs = [run for _ in range(4) for run in team.follow()]

    assert sum(run.counts("materialized")["report"] for run in runs) == 5
    assert team.catalogue.materialized("report") == set(entities(5))
    assert {m.entity_id for m in team.told()} == set(entities(5))
    assert team.inbox() == []


def test_the_order_in_which_messages_come_does_not_matter(team: Team) -> None:
    asked = entities(20)
    team.put(*asked)
    random.Random(1).shuffle(asked)
    team.ask(*asked[:10], ping=True)
    team.ask(*asked)
    subscription = team.pubsub.subscription(team.subscription)
    for received in reversed(subscription.pull()):
        subscription.release([received])

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(20)
    assert {m.entity_id for m in team.told()} == set(asked)
    assert team.inbox() == []
    assert team.left_in_topic() == []


def test_messages_that_come_again_and_again_are_computed_once(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = entities(10)
    team.put(*asked)
    team.ask(*asked)
    heard = monkeypatch.context()
    with heard as deaf:
        # As if each acknowledgement came too late, and the service sent it all once more.
        deaf.setattr(Subscription, "acknowledge", lambda self, received: self.release(received))
        runs = [run for _ in range(3) for run in team.follow()]

    runs += team.follow()

    assert sum(run.counts("materialized")["report"] for run in runs) == 10
    assert Counter(m.entity_id for m in team.told()) >= Counter(asked)
    assert team.inbox() == []
    assert team.dead() == []
    assert team.left_in_topic() == []


def test_a_tick_slower_than_the_deadline_keeps_its_messages(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Team(team.catalogue, team.emulator, "slow", subscribing={"ack_deadline_seconds": 10})
    slow.put("a")
    slow.ask("a")
    came_again: list[object] = []

    def write(*arguments, **options):
        time.sleep(12)
        came_again.extend(slow.left_in_topic())
        return write_batch(*arguments, **options)

    monkeypatch.setattr(intake, "write_batch", write)

    slow.follow()

    assert came_again == [], "its lease was extended"
    assert_done(slow, "a")


def test_a_store_that_fails_for_a_tick_loses_nothing(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.put("a")
    team.ask("a")

    def full(*_arguments, **_options):
        raise StoreUnavailableError("it is full", where="the store", fix="make room")

    with monkeypatch.context() as now:
        now.setattr(intake, "write_batch", full)
        with pytest.raises(StoreUnavailableError):
            team.tick()

    team.follow()

    assert_done(team, "a")


def test_a_message_of_nine_megabytes_goes_its_way(team: Team) -> None:
    team.put("large", "small")
    large = replace(new_message("large", version=1), payload=bytes(9_000_000))
    team.send(encode(large))
    team.ask("small")

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(2)
    told = {m.entity_id: m for m in team.told()}
    assert set(told) == {"large", "small"}
    assert told["large"].payload == large.payload
    assert team.inbox() == []


@pytest.mark.slow
def test_a_thousand_poisonous_ones_among_ten_thousand(catalogue: Catalogue, pubsub_emulator):
    team = Team(catalogue, pubsub_emulator, options={"max_inbox_batches": 5})
    asked = entities(9_000)
    team.put(*asked)
    messages = [encode(new_message(entity)) for entity in asked]
    messages += [b"\xff poison %d" % n for n in range(1_000)]
    random.Random(1).shuffle(messages)
    team.send(*messages)

    computed = _until_empty(team)

    assert computed == 9_000
    assert catalogue.materialized("report") == set(asked)
    assert Counter(m.entity_id for m in _all_told(team)) == Counter(asked)
    dead = team.dead()
    assert len({each.letter.data for each in dead}) == 1_000
    assert {each.reason for each in dead} == {"undecodable"}


def _until_empty(team: Team) -> int:
    """Tick until nothing is left; how many were computed."""
    computed = 0
    for _ in range(100):
        runs = team.follow()
        computed += sum(run.counts("materialized")["report"] for run in runs)
        if not runs and not team.inbox() and not team.left_in_topic():
            return computed
    raise AssertionError("it does not come to its end")


def _all_told(team: Team) -> Sequence:
    told = []
    while some := team.told():
        told += some
    return told


# ------------------------------------------------------------------ Pub/Sub itself


def test_a_subscription_that_is_deleted_and_made_again(team: Team) -> None:
    team.put("a", "b")
    team.ask("a")
    team.tick()
    name = team.subscription.rpartition("/")[2]
    team.emulator.delete_subscription(team.subscription)

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1), "what is in the inbox needs no subscription"
    with pytest.raises(PubSubError, match=name):
        team.tick()
    team.emulator.new_subscription(team.hears, name)
    team.ask("b")
    team.follow()
    assert_done(team, "a", "b")


def test_an_emulator_that_is_restarted_in_mid_flow(
    catalogue: Catalogue, own_emulator: PubSubEmulator
) -> None:
    team = Team(catalogue, own_emulator)
    team.put("a")
    team.ask("a")
    (request,) = team.tick()
    own_emulator.stop()

    run = team.run(request)

    assert not run.success, "it could not pass on what it has recorded"
    assert team.inbox() == [], "it is recorded, and its message lies in the outbox"
    own_emulator.start()
    own_emulator.new_topic(team.hears.rpartition("/")[2])
    own_emulator.new_subscription(team.hears, team.subscription.rpartition("/")[2])
    assert team.topic is not None
    own_emulator.new_topic(team.topic.rpartition("/")[2])
    own_emulator.new_subscription(team.topic, team._downstream.rpartition("/")[2])
    assert team.follow() == [], "all that was left was to pass it on"
    assert_done(team, "a")
