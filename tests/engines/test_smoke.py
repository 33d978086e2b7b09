"""Each engine runs a pipeline with our SDK worker, without Docker."""

import psutil
import pytest

from tests.engines.tiny_pipeline import written

pytestmark = pytest.mark.engines

COUNT = 20


def test_flink_with_a_job_server_of_the_driver(flink, tiny_pipeline, tmp_path):
    options = flink.options("smoke, own job server", variables={"KLIO_TESTS_TOLD": "all"})

    tiny_pipeline(f"--count={COUNT}", *options)

    found = written(tmp_path)
    assert sorted(said["element"] for said in found) == list(range(COUNT)), "once each"
    assert {said["told"] for said in found} == {"all"}
    assert {said["threads"] for said in found} == {"1"}
    assert len({said["pid"] for said in found}) == 2, "on both task managers"
    (job,) = flink.rest.jobs("smoke, own job server")
    assert job["state"] == "FINISHED"
    assert not flink.job_servers(), "the driver has taken its own down"


def test_flink_with_a_job_server_that_was_there(flink, job_server, tiny_pipeline, tmp_path):
    tiny_pipeline(f"--count={COUNT}", *job_server.options("smoke, one job server"))

    found = written(tmp_path)
    assert sorted(said["element"] for said in found) == list(range(COUNT))
    assert flink.rest.jobs("smoke, one job server")[0]["state"] == "FINISHED"
    assert {"jobmanager", *(each.name for each in flink.task_managers)} < set(flink.memory())


def test_prism_that_was_there(prism, tiny_pipeline, tmp_path):
    options = prism.options("smoke", variables={"KLIO_TESTS_TOLD": "it"})

    tiny_pipeline(f"--count={COUNT}", *options)

    found = written(tmp_path)
    assert sorted(said["element"] for said in found) == list(range(COUNT))
    assert {(said["told"], said["threads"]) for said in found} == {("it", "1")}


def test_prism_that_the_driver_starts(prism_program, tiny_pipeline, tmp_path):
    before = set(psutil.pids())

    tiny_pipeline(f"--count={COUNT}", "--runner=PrismRunner", f"--prism_location={prism_program}")

    assert len(written(tmp_path)) == COUNT
    left = [p for p in psutil.process_iter(["exe"]) if p.info["exe"] == str(prism_program)]
    assert not [process for process in left if process.pid not in before]


def test_a_killed_task_manager_takes_its_sdk_workers_with_it(
    flink, job_server, tiny_pipeline, tmp_path
):
    options = job_server.options("smoke, killed")
    # Each of the two is at work for longer than this test lasts.
    tiny_pipeline("--count=2", "--sleep-s=60", "--exit-after-submit", *options)
    job = flink.rest.find("smoke, killed")
    flink.job_manager.wait_for(
        lambda: len(list(tmp_path.glob("setups-*"))) == 2, "two workers at work", 60.0
    )

    killed = flink.kill_task_manager()
    workers = killed.sdk_workers()
    _, alive = psutil.wait_procs(workers, timeout=8)

    assert workers
    assert not alive
    assert flink.rest.state(job) in {"RUNNING", "RESTARTING"}

    flink.restore()

    assert flink.rest.state(job) == "CANCELED"
    assert len(flink.rest.task_managers()) == 2, "the killed one was replaced"
