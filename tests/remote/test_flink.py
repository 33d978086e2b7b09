"""A Flink cluster is asked as it wants to be asked, and what it says is understood."""

import pytest

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.beam.flink import Flink, FlinkJob
from klio_dagster.engine.beam.flink_rest import FlinkRest
from klio_dagster.engine.options import FlinkOptions
from klio_dagster.engine.remote.job import Message, State, job_name
from klio_dagster.engine.remote.watch import Orders, Watch
from klio_dagster.errors import RunError, ServiceUnavailableError
from tests.services.faults import Fault, FaultyProxy
from tests.services.scripted_flink import ScriptedFlink

MANIFEST = Manifest(run="r-1", store="s", parts=[], chain=[], engine={"kind": "flink"})
NAME = job_name(Manifest(run="r-1", store="", parts=(), chain=[], engine={}))
TRACE = """org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoff
Caused by: java.lang.Exception: Error received from SDK harness for instruction 3: Traceback
Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1500, in process
{error} [while running 'process entity']

\tat org.apache.flink.runtime.taskmanager.Task.run(Task.java:562)
"""


def flink(master: str) -> Flink:
    options = FlinkOptions(kind="flink", workers=1, master=master, job_endpoint="there:1")
    return Flink(options)


def found(cluster: ScriptedFlink, job_id: str | None = None) -> FlinkJob:
    job = flink(cluster.master).find(MANIFEST, job_id)
    assert job is not None
    return job


def test_a_job_is_found_by_its_name_the_one_that_goes_on_first(cluster: ScriptedFlink) -> None:
    cluster.add("other", "klio-another", started=9000)
    cluster.add("ended", NAME, states=["FINISHED"], started=3000)
    cluster.add("older", NAME, started=1000)
    cluster.add("newer", NAME, started=2000)

    info = found(cluster).info

    assert (info.id, info.name) == ("newer", NAME)
    assert info.url == f"{cluster.url}/#/job/newer/overview"


def test_of_jobs_that_have_ended_the_last_one_is_found(cluster: ScriptedFlink) -> None:
    cluster.add("first", NAME, states=["FAILED"], started=1000)
    cluster.add("last", NAME, states=["FINISHED"], started=2000)

    assert found(cluster).info.id == "last"


def test_a_job_whose_id_is_known_is_found_by_it(cluster: ScriptedFlink) -> None:
    cluster.add("newer", NAME, started=2000)
    cluster.add("ours", NAME, states=["FINISHED"], started=1000)

    assert found(cluster, "ours").info.id == "ours"


@pytest.mark.parametrize("job_id", [None, "gone"], ids=["by its name", "by its id"])
def test_a_job_that_the_cluster_does_not_know_is_none(
    cluster: ScriptedFlink, job_id: str | None
) -> None:
    assert flink(cluster.master).find(MANIFEST, job_id) is None


@pytest.mark.parametrize(
    ("shown", "counts", "state"),
    [
        pytest.param("CREATED", {}, State.WAITING, id="it is new"),
        pytest.param("RUNNING", {"SCHEDULED": 3}, State.WAITING, id="all of it waits for slots"),
        pytest.param("RUNNING", {"SCHEDULED": 2, "RUNNING": 1}, State.RUNNING, id="it has begun"),
        pytest.param("RESTARTING", {"FAILED": 1}, State.RUNNING, id="it is started again"),
        pytest.param("CANCELLING", {}, State.CANCELLING, id="it is being cancelled"),
        pytest.param("FINISHED", {}, State.DONE, id="done"),
        pytest.param("FAILED", {}, State.FAILED, id="failed"),
        pytest.param("CANCELED", {}, State.CANCELLED, id="cancelled"),
    ],
)
def test_the_clusters_words_have_our_meaning(
    cluster: ScriptedFlink, shown: str, counts: dict[str, int], state: State
) -> None:
    cluster.add("j", NAME, states=[shown], counts=counts)

    look = found(cluster).look()

    assert (look.state, look.shown) == (state, shown)


def test_each_failure_is_said_once_and_the_last_ones_error_is_the_reason(
    cluster: ScriptedFlink,
) -> None:
    script = cluster.add("j", NAME)
    script.failures = [(1000, TRACE.format(error="OSError: no space"))]
    job = found(cluster)

    first = job.look()
    nothing = job.look()
    script.failures.append((2000, TRACE.format(error="KeyError: 'mel'")))
    second = job.look()

    assert first.messages == [Message("OSError: no space", is_error=True)]
    assert nothing.messages == []
    assert second.messages == [Message("KeyError: 'mel'", is_error=True)]
    assert job.error() == "KeyError: 'mel'"


def test_a_cancelled_job_is_cancelled_by_patch_and_waited_for(cluster: ScriptedFlink) -> None:
    cluster.add("j", NAME, when_cancelled=["CANCELLING", "CANCELLING", "CANCELED"])

    error = watched_to_its_end(found(cluster), cancel="nobody wants it")

    assert "cancelled: nobody wants it" in str(error)
    assert cluster.cancels() == ["/jobs/j?mode=cancel"]
    assert cluster.jobs[0].states == ["CANCELED"]


def test_a_job_that_ends_before_it_is_cancelled_is_done(cluster: ScriptedFlink) -> None:
    script = cluster.add("j", NAME, states=["RUNNING", "FINISHED"])

    assert watched_to_its_end(found(cluster), cancel="nobody wants it") is None

    assert cluster.cancels() == ["/jobs/j?mode=cancel"]
    assert script.states == ["FINISHED"]


def test_a_job_that_fails_ends_with_the_error_that_was_raised(cluster: ScriptedFlink) -> None:
    script = cluster.add("j", NAME, states=["RUNNING", "FAILED"])
    script.failures = [(1000, TRACE.format(error="KeyError: 'mel'"))]

    error = watched_to_its_end(found(cluster))

    assert str(error).startswith("flink job j: it failed: KeyError: 'mel';")


def test_a_job_that_the_cluster_forgets_while_it_is_watched_says_so(
    cluster: ScriptedFlink,
) -> None:
    cluster.add("j", NAME)
    job = found(cluster)
    cluster.jobs.clear()

    with pytest.raises(RunError, match=r"Flink job j: the cluster knows it no longer; .*run again"):
        job.look()
    job.cancel()  # what is not there needs no end


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(status=503, on="GET PATCH", times=2), id="503"),
        pytest.param(Fault(is_lost=True, on="GET PATCH", times=2), id="the line is cut"),
        pytest.param(Fault(cut_at=5, on="GET PATCH", times=2), id="it is cut in an answer"),
    ],
)
def test_a_cluster_that_is_not_there_for_a_while_costs_nothing(
    cluster: ScriptedFlink, fault: Fault
) -> None:
    cluster.add("j", NAME, states=["RUNNING", "RUNNING", "RUNNING", "FINISHED"])
    with FaultyProxy(cluster.url) as proxy:
        job = flink(proxy.url).find(MANIFEST, "j")
        assert job is not None

        with proxy.broken(fault):
            error = watched_to_its_end(job)

    assert error is None
    assert fault.met == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(Fault(status=500), "see the JobManager's log", id="an error of its own"),
        pytest.param(Fault(is_lost=True), "start it, or mend master", id="the line is cut"),
        pytest.param(Fault(cut_at=5), "start it, or mend master", id="it is cut in an answer"),
    ],
)
def test_what_does_not_answer_is_worth_another_try(
    cluster: ScriptedFlink, fault: Fault, said: str
) -> None:
    with (
        FaultyProxy(cluster.url) as proxy,
        proxy.broken(fault),
        pytest.raises(ServiceUnavailableError, match=said),
    ):
        FlinkRest(proxy.url).named(NAME)


@pytest.mark.parametrize("master", ["127.0.0.1:1", "localhost:http", "[local]"])
def test_a_master_that_is_none_says_to_mend_it(master: str) -> None:
    with pytest.raises(ServiceUnavailableError, match=r"does not answer .*mend master"):
        FlinkRest(master).restart_strategy()


def test_a_server_that_is_no_flink_is_not_taken_for_one(cluster: ScriptedFlink) -> None:
    with pytest.raises(RunError, match=r"/nowhere: it is no Flink cluster; mend master"):
        FlinkRest(f"{cluster.url}/nowhere/").named(NAME)


def test_what_it_refuses_is_said_in_its_words(cluster: ScriptedFlink) -> None:
    cluster.add("j", NAME)

    with pytest.raises(RunError, match="Unknown termination mode"):
        FlinkRest(cluster.master).ask("/jobs/j?mode=stop", method="PATCH")


@pytest.mark.parametrize(
    ("settings", "strategy"),
    [
        pytest.param({"restart-strategy.type": "fixed-delay"}, "fixed-delay", id="since 1.19"),
        pytest.param({"restart-strategy": "failure-rate"}, "failure-rate", id="before"),
        pytest.param({"restart-strategy.type": "none"}, "none", id="none"),
        pytest.param({"restart-strategy.type": "off"}, "none", id="off"),
        pytest.param({"restart-strategy.type": "disable"}, "none", id="disabled"),
        pytest.param({}, "none", id="not set"),
    ],
)
def test_the_restart_strategy_is_read(
    cluster: ScriptedFlink, settings: dict[str, str], strategy: str
) -> None:
    cluster.settings = settings

    assert FlinkRest(cluster.master).restart_strategy() == strategy


class Hurried(Orders):
    """Waits for nobody; orders the end, if that is wanted, after the first look."""

    def __init__(self, cancel: str) -> None:
        super().__init__()
        self.why = cancel
        self.now = 0.0

    def pause(self, seconds: float) -> None:
        self.now += seconds


def watched_to_its_end(job: FlinkJob, cancel: str = "") -> RunError | None:
    options = FlinkOptions(kind="flink", workers=1, master="there:1")
    orders = Hurried(cancel)
    try:
        Watch(job, options, orders, lambda _: None, clock=lambda: orders.now).to_its_end()
    except RunError as error:
        return error
    return None
