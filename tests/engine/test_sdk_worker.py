"""`klio-sdk-worker` as a runner sees it: a provision, a logging and a control service."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from apache_beam.portability.api import beam_provision_api_pb2

from klio_dagster.engine.beam.sdk_harness import harness_environment, staged_files
from klio_dagster.engine.beam.sdk_worker import Given, given
from tests.services.sdk_runner import runner, staged

ROOT = Path(__file__).parents[2]
LONG_S = 60


@contextmanager
def worker(*arguments: str, **variables: str) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [sys.executable, "-m", "klio_dagster.engine.beam.sdk_worker", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_is_the_worker_it_was_asked_to_be_with_one_thread_for_numeric_libraries():
    with (
        runner() as started,
        # Prism quotes the id, and runners say more than the worker has use for.
        worker("--id='w 1'", f"--provision_endpoint={started.address}", "--semi_persist_dir=/x"),
        worker("--id=2", f"--provision_endpoint={started.address}", NUMBA_NUM_THREADS="3") as other,
    ):
        workers = {started.worker.get(timeout=LONG_S) for _ in range(2)}
        environment = psutil.Process(other.pid).environ()

    assert workers == {"w 1", "2"}
    assert {started.asked_by.get_nowait() for _ in range(2)} == workers
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == str(8 << 30)
    assert environment["NUMBA_NUM_THREADS"] == "3", "what the user has set stays"


def test_it_logs_to_the_runner_and_ends_in_order_when_the_runner_hangs_up():
    with (
        runner() as started,
        worker("--id=1", f"--provision_endpoint={started.address}") as process,
    ):
        started.worker.get(timeout=LONG_S)
        started.hangs_up.set()
        said, _ = process.communicate(timeout=LONG_S)

    assert process.returncode == 0, said
    assert any("of-the-test" in line for line in started.logged), "the options have arrived"
    assert "klio-sdk-worker: not fetched: a.whl; install what the job needs" in said
    assert "submission_environment_dependencies" not in said


def test_services_the_runner_does_not_name_are_where_it_said_on_the_command_line_or_provisions():
    with runner(names_services=False) as started:
        provision = f"--provision_endpoint={started.address}"
        with worker("--id=1", provision), worker("--id=2", provision, "--control_endpoint=[::1]:1"):
            assert started.worker.get(timeout=LONG_S) == "1"

    asked = Given(worker="2", provision="p:1", control="c:2", logging="l:3")
    information = beam_provision_api_pb2.ProvisionInfo(runner_capabilities=["a", "b"])
    environment = harness_environment(asked, information)

    assert environment["CONTROL_API_SERVICE_DESCRIPTOR"] == 'url: "c:2"\n'
    assert environment["LOGGING_API_SERVICE_DESCRIPTOR"] == 'url: "l:3"\n'
    assert environment["RUNNER_CAPABILITIES"] == "a b"
    assert "STATUS_API_SERVICE_DESCRIPTOR" not in environment


def test_it_fails_at_once_when_the_line_to_its_runner_is_cut():
    with (
        runner() as started,
        worker("--id=1", f"--provision_endpoint={started.address}") as process,
    ):
        started.worker.get(timeout=LONG_S)
        started.stop()
        process.communicate(timeout=10)

    assert process.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        pytest.param([], "--id", id="nothing"),
        pytest.param(["--id=1"], "--provision_endpoint", id="no provision service"),
        pytest.param(["--id=", "--provision_endpoint=x"], "--id", id="an empty id"),
    ],
)
def test_a_person_who_starts_it_is_told_in_one_line_who_does_that(arguments, missing, capsys):
    with pytest.raises(SystemExit) as ended:
        given(arguments)

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(f"klio-sdk-worker: no {missing} was given; ")
    assert said.count("\n") == 1


def test_a_runner_that_is_not_there_is_one_line_and_no_success(monkeypatch, capsys):
    from klio_dagster.engine.beam import sdk_harness

    monkeypatch.setattr(sdk_harness, "_ANSWER_S", 0.2)

    assert sdk_harness.main(["--id=1", "--provision_endpoint=127.0.0.1:9"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("klio-sdk-worker: provision service 127.0.0.1:9: the runner did not say")
    assert said.count("\n") == 1


def test_what_was_staged_with_the_job_is_named_except_for_what_every_job_stages():
    everything = ["submission_environment_dependencies.txt", "b", "a"]
    information = beam_provision_api_pb2.ProvisionInfo(dependencies=map(staged, everything))

    assert staged_files(information) == ["a", "b"]
