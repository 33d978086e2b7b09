"""What failed is tried again, later and later, and then goes to the dead letters."""

import time
from typing import Any

import dagster as dg
import pytest

from klio_dagster.core.backoff import Backoff
from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.core.letter import Asked
from klio_dagster.core.receipt import Receipt
from klio_dagster.errors import ConfigError
from klio_dagster.store.inbox import Batch, remove_batch, write_batch
from klio_dagster.store.kept import Waiting, put_unasked
from klio_dagster.store.open_claim import open_claim
from klio_dagster.streaming.retry_sensor import build_klio_retry_sensor
from tests.flows.catalogue import Catalogue, all_of
from tests.ledger.catalogue import new_run
from tests.services.pubsub import PubSubEmulator
from tests.streaming.retrier import (
    HOUR_S,
    Retrier,
    asked_for,
    tried_in_vain,
)
from tests.streaming.team import Team


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


def test_what_waits_for_an_input_of_another_job_is_left_to_it(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    upstream = UpstreamTrigger(JobId("another", "team"), "projects/another/topics/team")
    team = Team(catalogue, pubsub_emulator, upstream=upstream)
    retrier = Retrier(team, {"max_attempts": 1})
    tried_in_vain(team, "bad")
    waiting = Waiting(asset="recording", sensor=team.sensor.name, asked=Asked(entity="bad"))
    put_unasked(catalogue.store, Batch(team.sensor.name, "1"), [waiting])

    said = retrier.tick()

    assert said == "1 under way"
    assert team.dead() == []


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
