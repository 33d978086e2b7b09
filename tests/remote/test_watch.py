"""A job elsewhere is watched to its end, or it is said clearly why not."""

import pytest

from klio_dagster.engine.options import FlinkOptions
from klio_dagster.engine.remote.job import Bill, Look, Message, State
from klio_dagster.engine.remote.told import Change, Told
from klio_dagster.engine.remote.watch import Orders, Watch
from klio_dagster.errors import (
    ConfigError,
    JobLeftError,
    KlioError,
    NoJobError,
    RunError,
    ServiceUnavailableError,
)
from tests.remote.scripted import ScriptedJob, at

OPTIONS = FlinkOptions(
    kind="flink",
    workers=1,
    master="there:8081",
    start_timeout_s=100.0,
    cancel_timeout_s=200.0,
)
SILENT = ServiceUnavailableError("it does not answer", "there", "wait")


class Patient(Orders):
    """Waits in no time, on a clock of its own."""

    def __init__(self, *, cancel_at: float | None = None) -> None:
        super().__init__()
        self.now = 0.0
        self._cancel_at = cancel_at

    def pause(self, seconds: float) -> None:
        self.now += seconds
        if self._cancel_at is not None and self.now >= self._cancel_at:
            self.cancel("somebody wants it")


def watched(job: ScriptedJob, orders: Patient | None = None) -> tuple[list[Told], KlioError | None]:
    """What is told of a job, and what its watching ends with."""
    orders = orders or Patient()
    told: list[Told] = []
    try:
        Watch(job, OPTIONS, orders, told.append, clock=lambda: orders.now).to_its_end()
    except KlioError as error:
        return told, error
    return told, None


def test_a_job_that_does_its_work_is_told_of_from_its_id_to_what_it_has_used() -> None:
    said = Message("workers have started")
    job = ScriptedJob(at(State.WAITING), at(State.RUNNING, said), at(State.RUNNING), at(State.DONE))

    told, error = watched(job)

    assert error is None
    assert told == [
        job.info,
        Change(State.WAITING, "PENDING"),
        said,
        Change(State.RUNNING, "RUNNING"),
        Change(State.DONE, "DONE"),
        Bill({"TotalVcpuTime": 3.0}),
    ]


def test_a_job_that_fails_ends_with_its_own_error() -> None:
    _, error = watched(ScriptedJob(at(State.RUNNING), at(State.FAILED), why="KeyError: 'mel'"))

    assert isinstance(error, RunError)
    assert "flink job j-1: it failed: KeyError: 'mel'" in str(error)


def test_a_job_that_never_starts_is_cancelled_and_says_so() -> None:
    job = ScriptedJob(at(State.WAITING), when_cancelled=[at(State.CANCELLED)])

    _, error = watched(job)

    assert "cancelled: it did not start in 100 s" in str(error)
    assert job.cancels == 1


def test_whoever_orders_the_end_gets_it_once_the_service_says_so() -> None:
    job = ScriptedJob(
        at(State.RUNNING), when_cancelled=[at(State.CANCELLING)] * 3 + [at(State.CANCELLED)]
    )

    told, error = watched(job, Patient(cancel_at=10.0))

    assert "cancelled: somebody wants it" in str(error)
    assert Change(State.CANCELLED, "CANCELLED") in told


def test_a_job_that_does_its_last_while_it_is_cancelled_is_done() -> None:
    job = ScriptedJob(at(State.RUNNING), when_cancelled=[at(State.DONE)])

    assert watched(job, Patient(cancel_at=10.0))[1] is None


def test_a_cancelled_job_that_does_not_end_is_left_and_not_called_ended() -> None:
    job = ScriptedJob(at(State.RUNNING))

    _, error = watched(job, Patient(cancel_at=10.0))

    assert isinstance(error, JobLeftError)
    assert job.cancels > 3, "what was asked for may have been lost"


def test_a_job_that_somebody_else_cancels_is_no_work_done() -> None:
    _, error = watched(ScriptedJob(at(State.RUNNING), at(State.CANCELLED)))

    assert "somebody else cancelled it" in str(error)


def test_a_service_that_does_not_answer_for_a_while_costs_nothing() -> None:
    job = ScriptedJob(at(State.RUNNING), *[SILENT] * 50, at(State.DONE))

    assert watched(job)[1] is None


def test_a_refusal_in_between_ends_no_job() -> None:
    quota = RunError("Quota exceeded for quota metric 'Requests'", "there", "wait")
    expired = ConfigError("not known: the login has expired", "there", "log in")
    job = ScriptedJob(at(State.RUNNING), quota, expired, at(State.DONE))

    assert watched(job)[1] is None


def test_a_job_that_waits_for_slots_again_has_started_long_ago() -> None:
    waits = Look(State.WAITING, "RUNNING")
    runs = Look(State.RUNNING, "RUNNING")
    job = ScriptedJob(*[runs] * 100, waits, waits, runs, at(State.DONE))

    told, error = watched(job)

    assert (error, job.cancels) == (None, 0)
    assert [each.state for each in told if isinstance(each, Change)] == [
        State.RUNNING, State.WAITING, State.RUNNING, State.DONE,
    ]  # fmt: skip


def test_who_may_not_cancel_is_not_told_that_it_has_ended() -> None:
    job = ScriptedJob(
        at(State.RUNNING), refuses=ConfigError("not permitted: jobs.cancel", "there", "ask for it")
    )

    _, error = watched(job, Patient(cancel_at=10.0))

    assert isinstance(error, JobLeftError)
    assert "jobs.cancel" in str(error)


def test_a_job_that_its_service_forgets_is_none_any_more() -> None:
    gone = NoJobError("it knows it no longer", "there", "run again")

    _, error = watched(ScriptedJob(at(State.RUNNING), gone))

    assert error is gone


def test_a_service_that_answers_no_more_leaves_a_job_that_may_go_on() -> None:
    _, error = watched(ScriptedJob(at(State.RUNNING), SILENT))

    assert isinstance(error, JobLeftError)
    assert "it does not answer" in str(error)


def test_looks_become_fewer_and_never_few() -> None:
    orders = Patient()
    job = ScriptedJob(*[at(State.RUNNING)] * 100, at(State.DONE))

    watched(job, orders)

    assert 300 < orders.now < 500, "every five seconds"


@pytest.mark.parametrize("told", [["nothing"], "x", [1, 2], ["unknown", {}]], ids=str)
def test_what_no_driver_says_is_not_believed(told: object) -> None:
    from klio_dagster.engine.remote.told import told_of

    with pytest.raises(ValueError, match="a driver sent"):
        told_of(told)
