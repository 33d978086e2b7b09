"""The demo catalogue in a folder of its own, with Dagster's UI on it, and a browser to look."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from playwright.sync_api import Browser, sync_playwright

from demo.prepare import prepare
from tests.services.ports import free_port

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
_PROJECT = ("asset_defs", "beam_jobs", "demo", "workspace.yaml")
_GRACE_S = 30.0  # `klio dev` ends the web server, the daemon and their code servers in this time
_LONGEST_RUN_S = 120.0
# Without these Chromium talks to its maker's hosts at every start.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Project:
    """A copy of the reference project with the demo's recordings, nothing registered yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / ".klio" / "store"
        for name in _PROJECT:
            source, target = ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        prepare(self.store)

    def recording(self, entity: str) -> Path:
        """The file that a track is computed from."""
        return self.store / "tracks" / f"{entity}.flac"

    def klio(self, *arguments: str) -> Any:
        """What a klio command says with --json; failed entities are told in it."""
        done = subprocess.run(
            [*_KLIO, *arguments, "--json"],
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode <= 1, done.stderr
        return json.loads(done.stdout)


@dataclass(frozen=True)
class Ui:
    """Dagster's UI while it is served.

    Args:
        address: where, without a slash at the end.
    """

    address: str

    def partition(self, asset: str, entity: str) -> str:
        """The address of a partition's page."""
        return f"{self.address}/assets/{asset}?view=partitions&partition={quote(entity)}"

    def ask(self, query: str, **variables: Any) -> Any:
        """What the pages ask the server."""
        request = urllib.request.Request(
            f"{self.address}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def poll(
        self, query: str, done: Any, *, patience_s: float = _LONGEST_RUN_S, **variables: Any
    ) -> Any:
        """Ask until the answer is as wanted; `done` says whether it is."""
        deadline = time.monotonic() + patience_s
        while not done(answer := self.ask(query, **variables)):
            assert time.monotonic() < deadline, f"still {answer}"
            time.sleep(0.3)
        return answer


@contextmanager
def served(project: Project) -> Iterator[Ui]:
    """`klio dev` on a project, for as long as the block lasts; no process of it is left."""
    port = free_port()
    log = project.folder / "dev.log"
    with log.open("wb") as errors:
        server = subprocess.Popen(
            [*_KLIO, "dev", "--port", str(port), "--json"],
            cwd=project.folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    with server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            assert said, log.read_text()
            yield Ui(json.loads(said)["address"])
        finally:
            _end(server)


@contextmanager
def viewed(project: Project) -> Iterator[str]:
    """The address of `klio view` on a project, for as long as the block lasts."""
    command = [*_KLIO, "view", "--no-open", "--dagster-url", "http://127.0.0.1:3999", "--json"]
    with subprocess.Popen(
        command, cwd=project.folder, env=_environment(), stdout=subprocess.PIPE
    ) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["address"]
        finally:
            _end(server)


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS])
        yield started
        started.close()


_KLIO = (sys.executable, "-m", "klio_dagster.cli.main")


def _environment() -> dict[str, str]:
    """Ours, with this checkout, and the home that the project has in its own folder."""
    given = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    return {**given, "PYTHONPATH": str(ROOT)}


def _end(server: "subprocess.Popen[bytes]") -> None:
    below = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
    server.send_signal(signal.SIGINT)
    try:
        server.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        server.kill()
    for process in psutil.wait_procs(below, timeout=1)[1]:
        process.kill()
