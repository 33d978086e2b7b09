"""The same definitions on each engine: equal bytes, an exact ledger, whatever is killed."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asset_defs.tracks import track_audio
from klio_dagster.store.claims import read_claims
from tests.dataflow import dataflow_jobs as jobs
from tests.engines.engine_catalogue import LONG_S, EngineCatalogue, logged_recordings
from tests.flows.catalogue import home_in
from tests.services.engine_programs import JOB_SERVER
from tests.services.flink import FlinkCluster, JobServer
from tests.services.prism import Prism
from tests.services.started import ROOT, worker_command

pytestmark = pytest.mark.engines

NUMBER = 40

MakeEngine = Callable[[str], dict[str, Any]]


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> MakeEngine:
    """Fields of an engine by its name; what it needs is started when it is asked for."""
    variables = {
        "PYTHONPATH": str(ROOT),
        "KLIO_TESTS_EXECUTIONS": str(tmp_path / "store" / "executions.log"),
    }

    def fields(name: str) -> dict[str, Any]:
        told: dict[str, Any] = {"worker": worker_command(tmp_path), "variables": variables}
        match name:
            case "local":
                return {"kind": "local", "workers": 2}
            case "prism, its own":
                program = request.getfixturevalue("prism_program")
                return {"kind": "prism", "location": str(program), "workers": 2, **told}
            case "prism":
                prism: Prism = request.getfixturevalue("prism")
                return {"kind": "prism", "job_endpoint": prism.endpoint, "workers": 2, **told}
            case "portable":
                prism = request.getfixturevalue("prism")
                return {"kind": "portable", "job_endpoint": prism.endpoint, "workers": 2, **told}
            case "flink":
                flink: FlinkCluster = request.getfixturevalue("flink")
                told |= {"master": flink.master, "parallelism": 2}
                return {"kind": "flink", "job_server_jar": str(JOB_SERVER.found()), **told}
            case "flink, a job server that runs":
                flink = request.getfixturevalue("flink")
                server: JobServer = request.getfixturevalue("job_server")
                told |= {"master": flink.master, "parallelism": 2}
                return {"kind": "flink", "job_endpoint": server.endpoint, **told}
            case _:
                raise ValueError(name)

    return fields


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[EngineCatalogue]:
    """Nothing computed; the engine is set by the test."""
    with home_in(tmp_path) as instance:
        yield EngineCatalogue(tmp_path, instance, {})


ELSEWHERE = ["prism, its own", "prism", "portable", "flink", "flink, a job server that runs"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_real_audio_gives_the_same_bytes_as_on_this_machine(
    catalogue: EngineCatalogue, engine: MakeEngine, tmp_path: Path, name: str
) -> None:
    other = tmp_path / "other"
    with home_in(other) as instance:
        local = EngineCatalogue(other, instance, engine("local"))
        local.fill_with_audio()
        assert local.compute(track_audio).summary is not None
    names = catalogue.fill_with_audio()
    catalogue.engine = engine(name)

    ran = catalogue.compute(track_audio)

    assert ran.summary is not None, ran.error
    assert len(local.outputs()) >= 3 * (len(names) - 2), "a broken recording or two fail"
    assert catalogue.outputs() == local.outputs()
    assert list(read_claims(catalogue.store)) == []
    again = catalogue.compute(track_audio)
    assert sum(again.counts("materialized").values()) == 0


def exact(catalogue: EngineCatalogue, names: list[str]) -> None:
    """Every output is there and whole, and recorded; nothing is held."""
    assert catalogue.materialized("length") == set(names)
    for name in names:
        assert catalogue.load(f"length/{name}.json") == {"n": 4}
    assert list(read_claims(catalogue.store)) == []


@pytest.mark.kill
@pytest.mark.parametrize("victim", ["task manager", "SDK worker"])
def test_whatever_flink_loses_it_begins_again_and_nothing_finished_is_computed_twice(
    catalogue: EngineCatalogue,
    engine: MakeEngine,
    flink: FlinkCluster,
    victim: str,
) -> None:
    names = catalogue.fill(NUMBER)
    catalogue.engine = engine("flink")
    with catalogue.launched() as launcher:
        before = Counter(catalogue.executions())
        if victim == "task manager":
            flink.kill_task_manager()
            flink.start_task_manager()
        else:
            flink.sdk_workers()[0].kill()

        launcher.wait(LONG_S)

    exact(catalogue, names)
    twice = {name for name, times in Counter(catalogue.executions()).items() if times > 1}
    # Two were being computed, and a few more may have been begun before the end was noticed.
    assert len(twice) <= 8, f"{sorted(twice)}, of {len(before)} begun before the kill"


@pytest.mark.kill
@pytest.mark.parametrize("name", ["flink", "prism"])
def test_the_next_run_finds_the_job_of_a_launcher_that_died(
    catalogue: EngineCatalogue, engine: MakeEngine, name: str
) -> None:
    names = catalogue.fill(NUMBER)
    catalogue.engine = engine(name)
    with catalogue.launched() as launcher:
        launcher.kill()

    ran = catalogue.compute(logged_recordings())

    assert ran.success, ran.error
    exact(catalogue, names)
    assert max(Counter(catalogue.executions()).values()) == 1, "nothing is started twice"


@pytest.mark.kill
@pytest.mark.parametrize("name", ["flink", "prism", "prism, its own"])
def test_an_interrupted_run_ends_its_job(
    catalogue: EngineCatalogue, engine: MakeEngine, name: str
) -> None:
    catalogue.fill(200)
    catalogue.engine = engine(name)
    with catalogue.launched() as launcher:
        launcher.send_signal(signal.SIGINT)
        launcher.wait(LONG_S)

    begun = len(catalogue.executions())
    assert begun < 200
    assert list(read_claims(catalogue.store)) == []
    time.sleep(5 * jobs.SLOW_S)
    assert len(catalogue.executions()) == begun, "nobody computes any more"
