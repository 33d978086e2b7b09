"""What failed is tried again, later and later, and then goes to the dead letters."""

import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from klio_dagster.core.backoff import Backoff
from klio_dagster.core.letter import Asked, Letter
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.defs.decorator import source_assets
from klio_dagster.errors import ConfigError
from klio_dagster.message import PlainIds, decode, encode, new_message
from klio_dagster.store.claims import open_claim
from klio_dagster.store.given_up import given_up
from klio_dagster.store.inbox import remove_batch, write_batch
from klio_dagster.store.kept import held_entities, hold
from klio_dagster.streaming import giving_up, retry_sensor
from klio_dagster.streaming.dead_letter import drop, send_back
from klio_dagster.streaming.retry_sensor import build_klio_retry_sensor
from klio_dagster.streaming.settings import message_sensors
from tests.flows.catalogue import Catalogue, Outcome, all_of
from tests.ledger.catalogue import new_run
from tests.services.pubsub import PubSubEmulator
from tests.streaming.team import Team

HOUR_S = 3600.0


@dataclass
class Retrier:
    """A group's retry sensor, whose clock goes as the test says."""

    team: Team
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    cursor: str | None = None
    later_s: float = 0.0

    def __post_init__(self) -> None:
        self.sensor = build_klio_retry_sensor(assets=self.team.assets, **self.options)

    def evaluate(self) -> dg.SensorResult:
        """A tick as in the UI's preview: nothing of it is kept."""
        team = self.team
        definitions = dg.Definitions(
            assets=[team.assets, *source_assets(team.assets)],
            sensors=[self.sensor],
            resources={"klio": team.klio},
        )
        with dg.build_sensor_context(
            instance=team.catalogue.instance,
            cursor=self.cursor,
            definitions=definitions,
            resources={"klio": team.klio},
            sensor_name=self.sensor.name,
        ) as context:
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def tick(self) -> dg.RunRequest | str:
        """What a tick requests, or why it requests nothing."""
        result = self.evaluate()
        self.cursor = result.cursor or self.cursor
        if result.skip_reason is not None:
            return str(result.skip_reason.skip_message)
        (request,) = list(result.run_requests or ())
        return request

    def follow(self) -> Outcome:
        """A tick, and the run it requests."""
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return self.team.run(request)


@pytest.fixture
def retrier(team: Team, monkeypatch: pytest.MonkeyPatch) -> Retrier:
    """Three attempts; every pause is over at the next tick."""
    retrier = Retrier(team)
    clock = SimpleNamespace(time=lambda: time.time() + retrier.later_s)
    monkeypatch.setattr(retry_sensor, "time", clock)
    return retrier


def asked_for(request: dg.RunRequest | str) -> list[str]:
    assert isinstance(request, dg.RunRequest), request
    ((_, op),) = request.run_config["ops"].items()
    return op["config"]["entities"]


def answered(team: Team) -> Outcome:
    """The run of messages that were sent a moment ago: the emulator may need another pull."""
    for _ in range(100):
        for run in team.follow():
            return run
        time.sleep(0.1)
    raise AssertionError("the messages did not come")


def tried_in_vain(team: Team, *entities: str, times: int = 1, error: str = "no sound") -> None:
    """Runs of a moment ago have failed with them, and recorded it."""
    team.catalogue.register(*entities)
    blocked = Failure.blocked_by("recording")
    for _ in range(times):
        for asset, failure in (("recording", Failure("ValueError", error)), ("mel", blocked)):
            receipts = [
                Receipt(run="r", entity=e, asset=asset, finished_at=time.time(), failure=failure)
                for e in entities
            ]
            team.catalogue.ledger.record(new_run(), receipts)


def held_message(team: Team, entity: str, **said: Any) -> Letter:
    """A message of an entity that failed, as a run holds it."""
    data = encode(new_message(entity, **said))
    letter = Letter(data=data, forward=data, message_id="1", attributes={"sender": "studio"})
    asked = Asked(entity=entity, letters=(letter,))
    hold(team.catalogue.store, team.name, team.sensor.name, asked)
    return letter


def test_a_message_fails_three_times_is_given_up_mended_replayed_and_passed_on(
    retrier: Retrier,
) -> None:
    team = retrier.team
    store = team.catalogue.store
    team.put("bad", text=b"bad")
    team.ask("bad")
    assert answered(team).counts("failed") == all_of(1)
    for _ in range(2):
        assert team.dead() == []
        retrier.later_s += HOUR_S
        assert retrier.follow().counts("failed") == all_of(1)

    assert retrier.tick() == "1 moved to the dead letters"

    (dead,) = team.dead()
    assert (dead.entity, dead.reason, dead.attempts) == ("bad", "failed", 3)
    assert (dead.group, dead.sensor) == ("work", team.sensor.name)
    assert dead.error.startswith("recording: ValueError: it says bad (")
    assert dead.letter.data == encode(new_message("bad"))
    assert dead.letter.message_id
    assert held_entities(store, "work") == {}
    assert retrier.tick() == "1 given up before"

    team.put("bad", text=b"mended")
    send_back(store, dead)

    assert answered(team).counts("materialized") == all_of(1)
    assert [m.entity_id for m in team.told()] == ["bad"]
    assert team.dead() == []
    assert retrier.tick() == "nothing to be tried again"
    assert given_up(store, "work") == {}


def test_an_entity_that_came_without_a_message_gets_one_that_can_be_replayed(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    """Whatever the sensor of its group reads otherwise."""
    team = Team(catalogue, pubsub_emulator, options={"decoder": PlainIds()})
    retrier = Retrier(team, {"max_attempts": 1})
    tried_in_vain(team, "bad")
    retrier.tick()
    (dead,) = team.dead()
    made = decode(dead.letter.data, job=team.job)
    assert (made.entity_id, made.version, dead.sensor) == ("bad", 2, "")
    team.put("bad", text=b"mended")
    # As `klio dead-letter replay` finds it.
    ((name, (group, _)),) = message_sensors([team.sensor, retrier.sensor]).items()
    assert group == dead.group

    send_back(catalogue.store, dead, to=lambda _: name)

    assert answered(team).counts("materialized") == all_of(1)
    assert [m.entity_id for m in team.told()] == ["bad"]


def test_who_failed_rests_and_all_that_are_due_are_tried_in_one_run(retrier: Retrier) -> None:
    team = retrier.team
    tried_in_vain(team, "a", "b", "c")
    tried_in_vain(team, "c")
    first = retrier.tick()
    retrier.later_s = 61

    request = retrier.tick()

    assert str(first).startswith("3 resting until 20")
    assert asked_for(request) == ["a", "b"]
    assert isinstance(request, dg.RunRequest)
    assert request.tags["dagster/retry_on_asset_or_op_failure"] == "false"


def test_a_track_without_a_recording_is_tried_again_like_any_other(retrier: Retrier) -> None:
    team = retrier.team
    team.catalogue.register("a")
    team.run_with(entities=["a"])
    team.put("a")
    retrier.later_s = HOUR_S

    assert retrier.follow().counts("materialized") == all_of(1)


def test_one_run_takes_no_more_than_it_may_and_the_next_one_the_others(team: Team) -> None:
    retrier = Retrier(team, {"max_entities_per_run": 2, "backoff": 1e-3})
    tried_in_vain(team, "a")
    tried_in_vain(team, "c")
    tried_in_vain(team, "b")
    first = retrier.tick()
    tried_in_vain(team, "a", "c")

    second = retrier.tick()

    assert (asked_for(first), asked_for(second)) == (["a", "c"], ["b", "a"])


def test_what_only_waits_for_what_works_by_now_is_tried_at_once(retrier: Retrier) -> None:
    team = retrier.team
    tried_in_vain(team, "a")
    made = Receipt(run="r", entity="a", asset="recording", finished_at=time.time(), uri="/a")
    team.catalogue.ledger.record(new_run(), [made])

    assert asked_for(retrier.tick()) == ["a"]


def test_a_dropped_dead_letter_does_not_come_back(retrier: Retrier) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    held_message(team, "bad")
    retrier.tick()
    drop(team.catalogue.store, [team.dead()[0].id])

    retrier.later_s = 100 * HOUR_S

    assert retrier.tick() == "1 given up before"
    assert team.dead() == []


def test_whoever_tries_it_after_it_was_given_up_gives_it_all_attempts_anew(
    retrier: Retrier,
) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    letter = held_message(team, "bad")
    retrier.tick()
    tried_in_vain(team, "bad")
    assert "1 resting" in str(retrier.tick())
    tried_in_vain(team, "bad", times=2)

    assert retrier.tick() == "1 moved to the dead letters"

    found = {(dead.attempts, dead.sensor, dead.letter.data) for dead in team.dead()}
    assert found == {
        (3, team.sensor.name, letter.data),
        (6, "", encode(new_message("bad"))),
    }
    assert len(given_up(team.catalogue.store, "work")["bad"].paths) == 1


class Died(BaseException):
    """The process was killed."""


@pytest.mark.parametrize("step", ["put_all", "remember"])
def test_a_kill_while_an_entity_is_given_up_repeats_what_was_done_and_loses_nothing(
    retrier: Retrier, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    letter = held_message(team, "bad", force=True)
    does = getattr(giving_up, step)

    def dies(*given: Any) -> None:
        does(*given)
        raise Died

    with monkeypatch.context() as killing:
        killing.setattr(giving_up, step, dies)
        with pytest.raises(Died):
            retrier.tick()
    assert len(team.dead()) == 1
    assert set(held_entities(team.catalogue.store, "work")) == {"bad"}

    retrier.tick()

    (dead,) = team.dead()
    assert (dead.attempts, dead.letter) == (3, letter)
    assert held_entities(team.catalogue.store, "work") == {}
    assert retrier.tick() == "1 given up before"


def test_a_message_that_comes_while_its_entity_is_given_up_is_kept(
    retrier: Retrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    first = held_message(team, "bad")
    buries = giving_up.put_all

    def meanwhile(*given: Any) -> None:
        buries(*given)
        tried_in_vain(team, "bad")
        held_message(team, "bad", force=True)

    with monkeypatch.context() as patched:
        patched.setattr(giving_up, "put_all", meanwhile)
        retrier.tick()

    ((_, paths),) = held_entities(team.catalogue.store, "work").items()
    assert len(paths) == 1
    assert [dead.letter for dead in team.dead()] == [first]
    assert "1 resting" in str(retrier.tick())


def test_messages_that_are_held_of_what_was_given_up_are_not_forgotten(retrier: Retrier) -> None:
    """Their run had recorded its failure, and was slow to put them aside."""
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    retrier.tick()
    letter = held_message(team, "bad", force=True)

    assert retrier.tick() == "1 given up before"

    assert letter in [dead.letter for dead in team.dead()]
    assert held_entities(team.catalogue.store, "work") == {}


def test_what_is_in_the_inbox_is_left_to_its_message(retrier: Retrier) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    batch = write_batch(team.catalogue.store, team.sensor.name, [Asked(entity="bad")])

    said = retrier.tick()
    remove_batch(team.catalogue.store, batch)

    assert said == "1 under way"
    assert retrier.tick() == "1 moved to the dead letters"


def test_what_a_live_run_computes_is_left_to_it(retrier: Retrier) -> None:
    team = retrier.team
    tried_in_vain(team, "bad", times=3)
    claim = open_claim(team.catalogue.store, "another", assets=["recording", "mel", "report"])

    said = retrier.tick()
    claim.close()

    assert said == "1 under way"
    assert retrier.tick() == "1 moved to the dead letters"


def test_a_run_that_was_requested_is_waited_for_and_not_requested_twice(
    retrier: Retrier,
) -> None:
    team = retrier.team
    tried_in_vain(team, "a")
    retrier.later_s = HOUR_S
    one, preview = retrier.tick(), retrier.evaluate()
    assert isinstance(one, dg.RunRequest)
    assert "requested 1 times and not done" in str(preview.skip_reason)
    job = dg.Definitions(assets=[dg.AssetSpec("x")]).resolve_implicit_global_asset_job_def()
    run = team.catalogue.instance.create_run_for_job(
        job, tags=one.tags, status=dg.DagsterRunStatus.STARTED
    )

    said = str(retrier.tick())

    assert said == f"run {run.run_id}, requested before, has not ended; 1 due"


def test_two_daemons_at_once_ask_for_one_run(retrier: Retrier) -> None:
    tried_in_vain(retrier.team, "a")
    retrier.later_s = HOUR_S
    retrier.tick()
    tried_in_vain(retrier.team, "b")
    retrier.later_s = 3 * HOUR_S

    one, other = retrier.evaluate(), retrier.evaluate()

    keys = [[r.run_key for r in each.run_requests or ()] for each in (one, other)]
    assert keys[0] == keys[1] != []


def test_what_was_taken_out_of_the_catalogue_is_nobodys_business(retrier: Retrier) -> None:
    team = retrier.team
    tried_in_vain(team, "a", "b")
    team.catalogue.instance.delete_dynamic_partition("tracks", "a")
    retrier.later_s = HOUR_S

    assert asked_for(retrier.tick()) == ["b"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"max_attempts": 0}, "max_attempts is 0", id="no-attempt"),
        pytest.param({"max_entities_per_run": 0}, "max_entities_per_run is 0", id="none-a-run"),
        pytest.param({"backoff": 0}, "Backoff: a wait is not above 0", id="no-pause"),
    ],
)
def test_a_wrong_option_is_refused(team: Team, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_klio_retry_sensor(assets=team.assets, **options)


def test_a_pause_may_be_told_in_full(team: Team) -> None:
    backoff = Backoff(first_s=HOUR_S, factor=2, longest_s=24 * HOUR_S)

    sensor = build_klio_retry_sensor(assets=team.assets, backoff=backoff, name="again")

    assert (sensor.name, sensor.minimum_interval_seconds) == ("again", 60)
