"""A job server that a run starts itself: there when it is needed, gone when its driver is."""

import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from klio_dagster.engine.beam.own_server import OwnServer, flink_server, prism_server
from klio_dagster.engine.beam.portable import Portable
from klio_dagster.engine.options import PrismOptions
from klio_dagster.errors import ConfigError, RunError
from tests.kill.processes import still_alive

# A job server of a few lines, with a child as Prism has them for its SDK workers.
LISTENS = """
import subprocess, sys
from concurrent import futures
import grpc
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc as services
class Service(services.JobServiceServicer):
    def GetJobs(self, request, context):
        return api.GetJobsResponse()
    def DescribePipelineOptions(self, request, context):
        return api.DescribePipelineOptionsResponse()
subprocess.Popen(["sleep", "100"])
print("ready on", sys.argv[1], "in", sys.argv[2], flush=True)
server = grpc.server(futures.ThreadPoolExecutor(1))
services.add_JobServiceServicer_to_server(Service(), server)
assert server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
server.wait_for_termination()
"""
DIES = """
import sys
print("starting")
print("java.lang.UnsupportedClassVersionError: it needs Java 17", file=sys.stderr)
print("")
sys.exit(3)
"""
DEAF = "import time; time.sleep(100)"
DRIVER = f"""
import os, signal, sys
from klio_dagster.engine.beam.own_server import OwnServer
server = OwnServer(lambda port, folder: [sys.executable, "-c", {LISTENS!r}, str(port), folder], "e")
print(server._process.pid, flush=True)
input()
os.kill(os.getpid(), signal.SIGKILL)
"""


def python(code: str) -> Callable[[int, str], Sequence[str]]:
    return lambda port, folder: [sys.executable, "-c", code, str(port), folder]


def family(pid: int) -> list[psutil.Process]:
    """A process and all it has started."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def program(folder: Path, code: str) -> Path:
    """An executable that runs this code."""
    file = folder / "program"
    file.write_text(f"#!{sys.executable}\n{code}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def test_it_listens_once_it_is_there_and_nothing_of_it_is_left(
    capfd: pytest.CaptureFixture[str],
) -> None:
    server = OwnServer(python(LISTENS), "engine 'prism'")
    port = int(server.endpoint.rpartition(":")[2])
    running = family(server._process.pid)
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass

    server.stop()
    server.stop()

    assert len(running) == 2
    assert not still_alive(running, within_s=10)
    said = re.search(r"ready on (\d+) in (.+)", capfd.readouterr().err)
    assert said
    assert int(said[1]) == port
    assert not Path(said[2]).exists()


def test_two_at_a_time_do_not_get_in_each_others_way() -> None:
    servers = [OwnServer(python(LISTENS), "engine 'prism'") for _ in range(2)]

    assert len({server.endpoint for server in servers}) == 2
    for server in servers:
        server.stop()


def test_what_dies_at_its_start_says_why_in_its_own_words() -> None:
    with pytest.raises(RunError) as raised:
        OwnServer(python(DIES), "engine 'flink'")

    assert raised.value.where == "engine 'flink'"
    assert "ended with code 3" in raised.value.what
    assert "UnsupportedClassVersionError: it needs Java 17" in raised.value.what
    assert "\n" not in str(raised.value)


def test_what_never_listens_is_ended() -> None:
    before = psutil.Process().children(recursive=True)

    with pytest.raises(RunError, match=r"did not listen in 1 s"):
        OwnServer(python(DEAF), "engine 'flink'", within_s=1.0)

    started = set(psutil.Process().children(recursive=True)) - set(before)
    assert not still_alive(list(started), within_s=10)


def test_a_program_that_cannot_be_started_is_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/java cannot be started .*install it"):
        OwnServer(lambda *_: ["/nowhere/java"], "engine 'flink'")


@pytest.mark.kill
def test_it_ends_with_its_driver_however_that_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdin
        assert driver.stdout
        running = family(int(driver.stdout.readline()))

        driver.stdin.write("\n")
        driver.stdin.flush()
        driver.wait()

    assert len(running) == 2
    assert not still_alive(running, within_s=10)


@pytest.mark.parametrize(
    ("start", "where"),
    [
        pytest.param(prism_server, r"PrismEngine\(location=\)", id="Prism"),
        pytest.param(
            lambda path: flink_server(path, "there:8081"),
            r"FlinkEngine\(job_server_jar=\)",
            id="Flink",
        ),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_field(
    start: Callable[[str], OwnServer], where: str
) -> None:
    with pytest.raises(ConfigError, match=f"{where}: there is no file /nowhere/it; mend the path"):
        start("/nowhere/it")


def test_a_file_that_is_no_program_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "prism"
    file.write_text("text")

    with pytest.raises(ConfigError, match="Permission denied"):
        prism_server(str(file))


def test_prism_is_started_for_a_check_and_ended_by_it(tmp_path: Path) -> None:
    code = LISTENS.replace("sys.argv[1]", "sys.argv[1].partition('=')[2]")
    location = str(program(tmp_path, code))
    options = PrismOptions(kind="prism", workers=1, location=location, worker=sys.executable)
    before = psutil.Process().children(recursive=True)

    answers = {each.what: each for each in Portable(options).check()}

    assert answers["job service"].said == "it starts"
    started = set(psutil.Process().children(recursive=True)) - set(before)
    assert not still_alive(list(started), within_s=10)
