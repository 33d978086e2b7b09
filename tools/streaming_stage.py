"""What `make demo-streaming` starts and stops: the emulator, its topics, and `klio dev`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.services.pubsub import PubSubEmulator

_KLIO = (sys.executable, "-m", "klio_dagster.cli.main")
SENSOR = "messages_track_audio"
_ASKED, _DONE = "tracks", "tracks-done"  # topics; the sensor's subscription has the first's name
_WORKSPACE = """\
# Made by `make demo-streaming`: the reference project, with a catalogue of its own in this folder.
load_from:
  - python_module:
      module_name: asset_defs.definitions
      location_name: klio_dagster
      working_directory: {root}
"""
_TICKS = """{ sensorsOrError(repositorySelector: {repositoryName: "__repository__",
  repositoryLocationName: "klio_dagster"}) { ... on Sensors { results { name
    sensorState { ticks(limit: 1) { status } } } } } }"""
_START_S = 90.0
_GRACE_S = 30.0  # `klio dev` ends the web server, the daemon and their code servers in this time


class Stage:
    """The parts that play together.

    Args:
        root: of the reference project.
        folder: of the catalogue.
        emulator: not started yet.
    """

    def __init__(self, root: Path, folder: Path, emulator: PubSubEmulator) -> None:
        self.folder = folder
        self.home = folder / ".klio"
        self.store_folder = self.home / "store"
        self.emulator = emulator
        self.address = ""
        self.topic = f"projects/{emulator.project}/topics/{_ASKED}"
        self._root = root
        self._dev: subprocess.Popen[bytes] | None = None
        # Subscriptions of ours: what is published, and what is passed on.
        self.hears_asked = self.hears_done = ""

    @property
    def environment(self) -> dict[str, str]:
        """What names Pub/Sub to Dagster and to the commands."""
        given = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
        return {
            **given,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self._root), given.get("PYTHONPATH")))),
            "PUBSUB_EMULATOR_HOST": self.emulator.host,
            "GOOGLE_CLOUD_PROJECT": self.emulator.project,
            "TRACKS_SUBSCRIPTION": _ASKED,
            "TRACKS_TOPIC": _DONE,
        }

    def start(self) -> None:
        """Start everything; return once the sensor has looked for messages.

        Raises:
            SystemExit: something did not start; the error names what it has said.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        workspace = _WORKSPACE.format(root=json.dumps(str(self._root)))
        (self.folder / "workspace.yaml").write_text(workspace, encoding="utf-8")
        self.emulator.start()
        self.emulator.new_topic(_ASKED)
        self.emulator.new_subscription(self.topic, _ASKED)
        self.hears_asked = self.emulator.new_subscription(self.topic)
        self.hears_done = self.emulator.new_subscription(self.emulator.new_topic(_DONE))
        self._start_dagster()

    def stop(self) -> None:
        """Stop everything; no process is left."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # nobody is to interrupt this
        try:
            if self._dev is not None:
                _end(self._dev)
        finally:
            self.emulator.remove()

    def klio(self, *arguments: str) -> None:
        """Run a klio command in the catalogue's folder, before the reader's eyes.

        Raises:
            SystemExit: it failed.
        """
        done = subprocess.run(
            [*_KLIO, *arguments], cwd=self.folder, env=self.environment, check=False
        )
        if done.returncode:
            raise SystemExit(
                f"make demo-streaming: klio {arguments[0]} ended with {done.returncode}"
            )

    def said(self, *arguments: str) -> str:
        """What a klio command prints."""
        return subprocess.run(
            [*_KLIO, *arguments],
            cwd=self.folder,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def publish(self, ids: Sequence[str], option: str = "--top-down") -> None:
        """Ask for entities, by a message each."""
        self.klio("message", "publish", option, "--topic", self.topic, "--", *ids)

    def _start_dagster(self) -> None:
        """Start `klio dev`; return once the sensor has ticked.

        Raises:
            SystemExit: it did not.
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = self.folder / "dev.log"
        with log.open("wb") as errors:
            # A session of its own: Ctrl-C reaches us alone, and we stop the others in order.
            self._dev = subprocess.Popen(
                [*_KLIO, "dev", "--port", str(port), "--json"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert self._dev.stdout is not None
        said = self._dev.stdout.readline()
        if not said:
            raise SystemExit(f"make demo-streaming: klio dev did not start; see {log}")
        self.address = json.loads(said)["address"]
        deadline = time.monotonic() + _START_S
        while not self._has_ticked():
            if time.monotonic() > deadline:
                raise SystemExit(f"make demo-streaming: the sensor does not tick; see {log}")
            time.sleep(0.3)

    def _has_ticked(self) -> bool:
        request = urllib.request.Request(  # noqa: S310 - our own web server
            f"{self.address}/graphql",
            json.dumps({"query": _TICKS}).encode(),
            {"content-type": "application/json"},
        )
        with suppress(OSError), urllib.request.urlopen(request) as response:  # noqa: S310 - the same
            answer: Any = json.load(response)
            sensors = answer["data"]["sensorsOrError"].get("results", [])
            ours = [each for each in sensors if each["name"] == SENSOR]
            ticks = [tick["status"] for each in ours for tick in each["sensorState"]["ticks"]]
            return any(status != "STARTED" for status in ticks)
        return False


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End a process and all below it."""
    below = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
    server.send_signal(signal.SIGINT)
    try:
        server.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    for process in psutil.wait_procs(below, timeout=1)[1]:
        process.kill()
