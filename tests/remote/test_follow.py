"""A run follows its driver: what ends the job, what leaves it alone, and what the run then says."""

import os
from collections.abc import Callable, Sequence

import pytest

from klio_dagster.core.manifest import Manifest
from klio_dagster.core.receipt import Receipt
from klio_dagster.engine.frames import FrameReader
from klio_dagster.engine.options import FlinkOptions
from klio_dagster.engine.remote import follow
from klio_dagster.engine.remote.follow import Following
from klio_dagster.engine.remote.job import JobInfo, State
from klio_dagster.engine.remote.told import CANCEL, Change, Ending, Told, teller
from klio_dagster.errors import JobLeftError, KlioError, StoreUnavailableError
from klio_dagster.store.store import Store

MANIFEST = Manifest(
    run="r1", generation="g", store="memory://", parts=(), chain=[], engine={"kind": "flink"}
)
OPTIONS = FlinkOptions(
    kind="flink", workers=1, master="there:8081", stall_timeout_s=100.0, cancel_timeout_s=50.0
)
JOB = JobInfo(engine="flink", id="j-1", name="klio-r1")
WAITS = Change(State.WAITING, "CREATED")
RUNS = Change(State.RUNNING, "RUNNING")
DONE = Change(State.DONE, "FINISHED")


class ScriptedDriver:
    """A driver that says one thing each time it is looked at, and ends with a code.

    Args:
        says: in that order.
        code: it ends with; once its job's end was ordered with 1.
    """

    def __init__(self, says: Sequence[Told], code: int) -> None:
        self._says, self._end = list(says), code
        self._read, self.orders = os.pipe()
        self.code: int | None = None
        self.arguments: Sequence[str] = ()
        self._ordered: list[str] = []
        self._tell: Callable[[Told], None] = teller(None)

    def started(self, arguments: Sequence[str], pipe: int) -> "ScriptedDriver":
        self.arguments, self._tell = arguments, teller(os.dup(pipe))
        os.set_blocking(self._read, False)
        return self

    def has_ended(self) -> bool:
        if self.ordered:
            self._tell(Change(State.CANCELLED, "CANCELED"))
            self._tell(Ending("cancelled", "flink job j-1", "run again"))
            self.code = 1
        elif self._says:
            self._tell(self._says.pop(0))
        else:
            self.code = self._end
        return self.code is not None

    def end(self) -> None:
        self.code = -9 if self.code is None else self.code

    @property
    def ordered(self) -> list[str]:
        """Why its job's end was ordered."""
        try:
            frames = FrameReader(self._read).read() or []
        except BlockingIOError:
            frames = []
        self._ordered += [why for kind, why in frames if kind == CANCEL]
        return self._ordered


class Clock:
    """Goes on by so much each time it is read."""

    def __init__(self, step_s: float) -> None:
        self._now, self._step_s = 0.0, step_s

    def __call__(self) -> float:
        self._now += self._step_s
        return self._now


def followed(
    monkeypatch: pytest.MonkeyPatch,
    *drivers: ScriptedDriver,
    step_s: float = 1.0,
    on_receipts: Callable[[list[Receipt]], None] = lambda _: None,
) -> KlioError | None:
    """What following ends with, of drivers that are started one after the other."""
    left = list(drivers)

    def start(arguments: Sequence[str], *_: object, pass_fds: Sequence[int]) -> ScriptedDriver:
        return left.pop(0).started(arguments, pass_fds[0])

    monkeypatch.setattr(follow.DriverProcess, "start", start)
    following = Following(
        MANIFEST,
        Store.open("memory://"),
        OPTIONS,
        on_receipts=on_receipts,
        on_output=lambda _: None,
        on_job=lambda _: None,
        clock=Clock(step_s),
    )
    try:
        following.submit()
    except KlioError as error:
        return error
    return None


def test_a_job_that_is_done_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = ScriptedDriver([JOB, WAITS, RUNS, DONE], 0)

    assert followed(monkeypatch, driver) is None
    assert not driver.ordered


def test_a_job_that_waits_for_its_machines_is_the_drivers_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = ScriptedDriver([JOB, *[WAITS] * 50, RUNS, DONE], 0)

    assert followed(monkeypatch, driver, step_s=20.0) is None
    assert not driver.ordered


@pytest.mark.parametrize(
    "then",
    [
        pytest.param([RUNS], id="runs"),
        pytest.param([WAITS], id="waits again"),
        pytest.param([WAITS, RUNS], id="restarts again and again"),
    ],
)
def test_a_job_that_started_and_finishes_nothing_is_cancelled_whatever_it_says(
    monkeypatch: pytest.MonkeyPatch, then: list[Told]
) -> None:
    driver = ScriptedDriver([JOB, RUNS, *then * 200], 0)

    followed(monkeypatch, driver, step_s=5.0)

    (why,) = driver.ordered
    assert why.startswith("it has started, and no receipt came for 1")


@pytest.mark.parametrize(("seen", "is_told"), [([WAITS], False), ([WAITS, RUNS, WAITS], True)])
def test_a_driver_that_takes_anothers_place_is_told_whether_the_job_had_started(
    monkeypatch: pytest.MonkeyPatch, seen: list[Told], is_told: bool
) -> None:
    killed, second = ScriptedDriver([JOB, *seen], -9), ScriptedDriver([JOB, RUNS, DONE], 0)

    assert followed(monkeypatch, killed, second) is None
    assert ("--started" in second.arguments) is is_told
    assert second.arguments[1] == "--attach"


def test_a_store_that_the_launcher_cannot_reach_ends_no_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = ScriptedDriver([JOB, *[RUNS] * 9, DONE], 0)
    looks = iter(range(100))

    def takes(_receipts: list[Receipt]) -> None:
        if next(looks) > 3:
            raise StoreUnavailableError("it does not answer", "store gs://music", "wait")

    error = followed(monkeypatch, driver, on_receipts=takes)

    assert isinstance(error, JobLeftError), "so that the claim stays"
    assert "store gs://music: it does not answer" in str(error)
    assert not driver.ordered


def test_an_error_of_the_run_ends_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = ScriptedDriver([JOB, *[RUNS] * 9, DONE], 0)

    def takes(_receipts: list[Receipt]) -> None:
        raise KlioError("something broke", "here", "mend it")

    error = followed(monkeypatch, driver, on_receipts=takes)

    assert "something broke" in str(error)
    assert driver.ordered == ["its run has ended (KlioError)"]
