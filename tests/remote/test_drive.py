"""A driver submits once, finds what was submitted, and says how sure it is of a job's end."""

from collections.abc import Sequence
from functools import partial

import pytest

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.beam import services
from klio_dagster.engine.options import FlinkOptions
from klio_dagster.engine.remote import drive as driver
from klio_dagster.engine.remote.drive import How, drive
from klio_dagster.engine.remote.job import State
from klio_dagster.engine.remote.told import Ending, Kind, Told, told_of
from klio_dagster.engine.remote.watch import Orders, Watch
from klio_dagster.errors import ConfigError, RunError, ServiceUnavailableError
from tests.remote.scripted import ScriptedJob, at
from tests.services.scripted import next_of

OPTIONS = FlinkOptions(kind="flink", workers=1, master="there:8081")
MANIFEST = Manifest(
    run="r1", generation="g", store="/data", parts=(), chain=[], engine={"kind": "flink"}
)
SILENT = ServiceUnavailableError("it does not answer", "there", "start it")
REFUSED = ConfigError("not permitted", "there", "log in")
Found = ScriptedJob | Exception | None


class ScriptedService:
    """Answers what a test wants.

    Args:
        finds: what each question for the job gives; the last one for ever.
        submits: what the submission gives.
    """

    def __init__(self, finds: Sequence[Found], submits: ScriptedJob | Exception) -> None:
        self._finds, self._submits = list(finds), submits
        self.submissions = 0

    def find(self, _manifest: Manifest, _job_id: str | None) -> ScriptedJob | None:
        found = next_of(self._finds)
        if isinstance(found, Exception):
            raise found
        return found

    def submit(self, _manifest: Manifest) -> ScriptedJob:
        self.submissions += 1
        if isinstance(self._submits, Exception):
            raise self._submits
        return self._submits


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Orders, "listen", lambda *_args, **_options: None)
    monkeypatch.setattr(Orders, "pause", lambda *_args: None)


def done() -> ScriptedJob:
    return ScriptedJob(at(State.DONE))


@pytest.mark.parametrize("has_started", [True, False])
def test_a_job_that_is_found_again_has_its_time_to_start_unless_it_was_seen_at_work(
    monkeypatch: pytest.MonkeyPatch, has_started: bool
) -> None:
    """A job without slots, say: its launcher had died while it waited."""
    now = iter(range(0, 10**6, 100))
    job = ScriptedJob(*[at(State.WAITING)] * 90, at(State.DONE))
    job_cancelled = ScriptedJob(at(State.WAITING), when_cancelled=[at(State.CANCELLED)])
    found = job if has_started else job_cancelled
    monkeypatch.setattr(services, "service_of", lambda _: ScriptedService([found], found))
    monkeypatch.setattr(driver, "Watch", partial(Watch, clock=lambda: float(next(now))))
    given = {"how": How.ATTACH, "job_id": "j-1", "has_started": has_started}

    if has_started:
        drive(MANIFEST, OPTIONS, lambda _: None, **given)
    else:
        with pytest.raises(RunError, match="it did not start in 1800 s"):
            drive(MANIFEST, OPTIONS, lambda _: None, **given)


def driven(
    monkeypatch: pytest.MonkeyPatch, service: ScriptedService, how: How = How.SUBMIT
) -> Ending | None:
    """What a driver ends with; None if all of it is done."""
    told: list[Told] = []
    monkeypatch.setattr(services, "service_of", lambda _options: service)
    try:
        drive(MANIFEST, OPTIONS, told.append, how=how, job_id=None)
    except Exception:  # noqa: BLE001 - the launcher hears of it by what is told
        endings = [each for each in told if isinstance(each, Ending)]
        assert len(endings) == 1
        return endings[0]
    return None


def test_a_service_that_is_not_there_is_sent_nothing_and_holds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = ScriptedService([SILENT], done())

    ending = driven(monkeypatch, service)

    assert ending is not None
    assert (ending.kind, service.submissions) == (Kind.OVER, 0)


def test_a_submission_whose_answer_is_lost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    service = ScriptedService([None, done()], SILENT)

    assert driven(monkeypatch, service) is None
    assert service.submissions == 1


def test_a_submission_that_the_service_has_not_taken_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ending = driven(monkeypatch, ScriptedService([None], SILENT))

    assert ending is not None
    assert ending.kind == Kind.OVER


@pytest.mark.parametrize("silence", [SILENT, REFUSED])
@pytest.mark.parametrize("how", [How.SUBMIT, How.ATTACH])
def test_where_nobody_can_say_whether_there_is_a_job_it_may_go_on(
    monkeypatch: pytest.MonkeyPatch, how: How, silence: Exception
) -> None:
    finds = [silence] if how is How.ATTACH else [None, silence]

    ending = driven(monkeypatch, ScriptedService(finds, SILENT), how)

    assert ending is not None
    assert ending.may_go_on


def test_a_job_that_the_service_does_not_know_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = driven(monkeypatch, ScriptedService([None], SILENT), How.ATTACH)

    assert ending is not None
    assert ending.kind == Kind.NO_JOB


def test_what_a_library_raises_is_told_and_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = driven(monkeypatch, ScriptedService([None], ValueError("Invalid Project ID")))

    assert ending == Ending(
        "ValueError: Invalid Project ID", "engine 'flink'", "see the run's output", Kind.OVER
    )


def test_what_a_library_raises_while_it_watches_ends_no_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = done()
    monkeypatch.setattr(job, "look", lambda: 1 / 0)

    ending = driven(monkeypatch, ScriptedService([None], job))

    assert ending is not None
    assert ending.may_go_on


@pytest.mark.parametrize("kind", Kind)
def test_an_ending_is_read_as_it_was_told(kind: Kind) -> None:
    frame = ["ending", {"what": "a", "where": "b", "fix": "c", "kind": str(kind)}]

    assert told_of(frame) == Ending("a", "b", "c", kind)
