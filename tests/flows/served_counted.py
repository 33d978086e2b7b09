"""`klio dev` on a counted catalogue, and runs launched and ended by what its pages send."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.error import URLError

import psutil

from tests.flows.counted_catalogue import ASSETS, CountedCatalogue
from tests.kill.processes import still_alive
from tests.services.ports import free_port
from tests.ui.served import Ui

_WORKSPACE = """\
load_from:
  - python_module:
      module_name: tests.flows.counted_defs
      location_name: counted
"""
# Nobody watches over runs: what a dead one leaves is ours to clear away.
_SETTINGS = """\
telemetry: {{enabled: false}}
run_queue: {{dequeue_interval_seconds: 1, max_concurrent_runs: {slots}}}
"""
_LAUNCH = """mutation ($assets: [AssetKeyInput!], $config: RunConfigData) {
  launchRun(executionParams: {
    selector: {jobName: "__ASSET_JOB", repositoryName: "__repository__",
      repositoryLocationName: "counted", assetSelection: $assets},
    runConfigData: $config,
    executionMetadata: {tags: [{key: "dagster/defer_asset_events", value: "true"}]}}) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_TERMINATE = """mutation ($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""
_STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
_GRACE_S = 40.0


@dataclass(frozen=True)
class Served:
    """A web server, a daemon and their code servers.

    Args:
        process: `klio dev`, above all of them.
        ui: what a browser talks to.
    """

    process: "subprocess.Popen[bytes]"
    ui: Ui

    def below(self, named: str = "") -> list[psutil.Process]:
        """The processes it started, or those of them whose command line has this in it."""
        found: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    if named in " ".join(process.cmdline()):
                        found.append(process)
        return found

    def launch(self, **config: object) -> str:
        """Put a run into the queue, as the launchpad does, and give its id."""
        answer = self.ui.ask(
            _LAUNCH,
            assets=[{"path": [asset]} for asset in ASSETS],
            config={"ops": {"counted": {"config": {"entities": "all", **config}}}},
        )["launchRun"]
        assert "run" in answer, answer
        return answer["run"]["runId"]

    def terminate(self, run_id: str) -> None:
        """What the button of that name does."""
        answer = self.ui.ask(_TERMINATE, id=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def status(self, run_id: str) -> str:
        return self.ui.ask(_STATUS, id=run_id)["runOrError"]["status"]


@contextmanager
def served_counted(catalogue: CountedCatalogue, *, slots: int = 2) -> Iterator[Served]:
    """The UI on a catalogue while the block lasts; no process of it is left.

    Args:
        catalogue: what its runs compute.
        slots: how many runs of the queue may be under way at once.
    """
    folder = catalogue.home.parent
    (folder / "workspace.yaml").write_text(_WORKSPACE)
    (catalogue.home / "dagster.yaml").write_text(_SETTINGS.format(slots=slots))
    port = free_port()
    command = [sys.executable, "-m", "klio_dagster.cli.main", "dev", "--port", str(port), "--json"]
    with (folder / "dev.log").open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=catalogue.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        )
    served = Served(process, Ui(f"http://127.0.0.1:{port}"))
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), (folder / "dev.log").read_text()
            _wait_until_it_answers(served.ui)
            yield served
        finally:
            below = served.below()
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
            process.kill()
            for left in still_alive(below, within_s=2.0):
                left.kill()


def _wait_until_it_answers(ui: Ui) -> None:
    end = time.monotonic() + _GRACE_S
    while True:
        try:
            ui.ask("{ version }")
        except (URLError, ConnectionError):
            assert time.monotonic() < end, "the web server does not answer"
            time.sleep(0.2)
        else:
            return
