"""A job server of the driver's own: started for one submission, and never left behind.

Beam starts them too, but ends them only where Python ends in an orderly way, which a driver that is
killed does not: 220 MB of a Java process stayed each time (measured).
"""

import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from klio_dagster.engine.beam.reason import reason_of
from klio_dagster.engine.guardian import Guardian
from klio_dagster.errors import ConfigError, RunError

START_S = 120.0
_GRACE_S = 5.0
_LOOK_S = 0.5
_PAUSE_S = 0.05
_KEPT_LINES = 50
_JOBS = beam_job_api_pb2.GetJobsRequest()
_NOT_YET = frozenset({grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE})


class OwnServer:
    """A job server that runs.

    Args:
        command: of it, made from the port it is to listen on and a folder of its own.
        where: what it belongs to, for messages.
        within_s: how long it may take until it listens, in seconds.

    Raises:
        ConfigError: it cannot be started.
        RunError: it ends, or does not listen in time.
    """

    def __init__(
        self,
        command: Callable[[int, str], Sequence[str]],
        where: str,
        within_s: float = START_S,
    ) -> None:
        self._folder = TemporaryDirectory(prefix="klio-job-server-", ignore_cleanup_errors=True)
        self._guardian = Guardian()
        port = _free_port()
        self.endpoint = f"localhost:{port}"
        words = list(command(port, self._folder.name))
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._folder.name,
                start_new_session=True,
            )
        except OSError as error:
            self._guardian.close()
            self._folder.cleanup()
            raise ConfigError(
                f"{words[0]} cannot be started ({error.strerror})", where, "install it"
            ) from error
        self._guardian.watch(self._process.pid)
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._reader = threading.Thread(target=self._show, daemon=True)
        self._reader.start()
        self._wait_for_it(where, within_s)

    def stop(self) -> None:
        """End it. Safe to call again."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._guardian.close()
        self._folder.cleanup()

    def _wait_for_it(self, where: str, within_s: float) -> None:
        """Return once it answers.

        Raises:
            RunError: it ends, or does not answer in time.
        """
        until = time.monotonic() + within_s
        # Not `grpc.channel_ready_future`: its thread outlives it, and asks the closed channel.
        with grpc.insecure_channel(self.endpoint) as channel:
            service = beam_job_api_pb2_grpc.JobServiceStub(channel)
            while self._process.poll() is None and time.monotonic() < until:
                try:
                    service.GetJobs(_JOBS, timeout=_LOOK_S, wait_for_ready=True)
                except grpc.RpcError as error:
                    if isinstance(error, grpc.Call) and error.code() not in _NOT_YET:
                        return  # it answers, if with a refusal
                    time.sleep(_PAUSE_S)
                else:
                    return
        code = self._process.poll()
        self.stop()
        self._reader.join(_GRACE_S)
        did = f"did not listen in {within_s:g} s" if code is None else f"ended with code {code}"
        why = f": {said}" if (said := self._last_words()) else ", and said nothing"
        raise RunError(f"its job server {did}{why}", where, "read all it says in a run's output")

    def _last_words(self) -> str:
        """The last error it said, else the last line; those of a Java trace say where, not what."""
        return reason_of([line for line in self._said if line.strip() and not line[0].isspace()])

    def _show(self) -> None:
        """What it says is the driver's output, errors of a job among it."""
        assert self._process.stdout
        with self._process.stdout as said:
            for line in said:
                text = line.decode(errors="replace")
                self._said.append(text)
                sys.stderr.write(text)
                sys.stderr.flush()


def prism_server(location: str, within_s: float = START_S) -> OwnServer:
    """Beam's Prism.

    Args:
        location: path of its binary.
        within_s: how long it may take until it listens, in seconds.

    Raises:
        ConfigError: it cannot be started.
        RunError: it does not listen.
    """
    _check_file(location, "location", "PrismEngine")
    return OwnServer(
        lambda port, _folder: [
            *(str(Path(location).absolute()), f"--job_port={port}", "--serve_http=false"),
            "--log_level=warn",
        ],
        "engine 'prism'",
        within_s,
    )


def flink_server(jar: str, master: str, within_s: float = START_S) -> OwnServer:
    """Beam's job server for a Flink cluster.

    Args:
        jar: its path.
        master: address of the cluster.
        within_s: how long it may take until it listens, in seconds.

    Raises:
        ConfigError: it cannot be started.
        RunError: it does not listen.
    """
    _check_file(jar, "job_server_jar", "FlinkEngine")
    return OwnServer(
        lambda port, folder: [
            *("java", "-jar", str(Path(jar).absolute()), f"--flink-master={master}"),
            *(f"--job-port={port}", "--artifact-port=0", "--expansion-port=0"),
            f"--artifacts-dir={folder}",
        ],
        "engine 'flink'",
        within_s,
    )


def _check_file(path: str, option: str, engine: str) -> None:
    if not Path(path).is_file():
        raise ConfigError(f"there is no file {path}", f"{engine}({option}=)", "mend the path")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
