"""Which runs Dagster's queue lets go at the same time, in the home that `klio` makes."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from klio_dagster.cli.home import ensure_home
from klio_dagster.defs.lanes import LANE_TAG, MESSAGES, OTHERS


@dg.op
def nothing():
    pass


@dg.job
def work():
    nothing()


@pytest.fixture
def instance(tmp_path, monkeypatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dg.DagsterInstance.from_config(str(ensure_home(tmp_path))) as instance:
        yield instance


def submitted(instance: dg.DagsterInstance, **tags: str) -> str:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")
    run = instance.create_run_for_job(
        work,
        tags={name.replace("_", "/"): value for name, value in tags.items()},
        remote_job_origin=RemoteJobOrigin(repository, "work"),
        job_code_origin=dg.reconstructable(work).get_python_origin(),
    )
    instance.run_coordinator.submit_run(dg.SubmitRunContext(run, workspace=None))
    return run.run_id


def let_go(instance: dg.DagsterInstance) -> list[str]:
    """The runs that the daemon would launch next."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
    return [run.run_id for run in runs]


def test_a_message_goes_beside_a_backfill_and_everything_else_waits_for_its_turn(instance):
    backfill, by_hand = submitted(instance, dagster_backfill="b"), submitted(instance)
    messages = [submitted(instance, klio_lane=MESSAGES) for _ in range(2)]

    assert let_go(instance) == [backfill, messages[0]]

    for run_id in (backfill, messages[0]):
        instance.report_run_failed(instance.get_run_by_id(run_id))
    assert let_go(instance) == [by_hand, messages[1]]


def test_a_run_without_a_lane_gets_one_and_the_others_keep_theirs(instance):
    runs = [submitted(instance), submitted(instance, klio_lane="mine")]

    lanes = [instance.get_run_by_id(run_id).tags[LANE_TAG] for run_id in runs]

    assert lanes == [OTHERS, "mine"]
