"""`make demo-streaming`, as whoever has cloned the repository runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.services.pubsub import NOT_THERE, program

ROOT = Path(__file__).parents[2]
LONGEST_S = 300.0


def needs_the_emulator(test):
    skipped = pytest.mark.skipif(program() is None, reason=NOT_THERE)
    return pytest.mark.slow(pytest.mark.emulator(skipped(test)))


@contextmanager
def demo(folder: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """The demo with its catalogue in a folder; all it starts knows that folder as TMPDIR."""
    with subprocess.Popen(
        [sys.executable, "tools/demo_streaming.py", folder / "catalogue"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        yield started


def processes_of(folder: Path) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder):
                found.append(process)
        except psutil.Error:  # gone, or another user's
            continue
    return found


@needs_the_emulator
def test_every_message_of_the_demo_comes_to_what_it_must_and_no_process_is_left(tmp_path):
    with demo(tmp_path) as running:
        said, errors = running.communicate(timeout=LONGEST_S)

    assert running.returncode == 0, said + errors
    table = {line[:17].strip(): line[17:].split()[:2] for line in said.splitlines()}
    assert table["published"] == table["received"] == ["22", "21"]
    assert table["materialised"] == ["19", "0"]
    assert table["skipped"] == ["0", "19"]
    assert table["failed"] == ["2", "2"]
    assert table["dead-lettered"] == ["1", "0"]
    assert "undecodable" in said
    assert processes_of(tmp_path) == []


@needs_the_emulator
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_demo_that_is_interrupted_stops_all_it_has_started(number, tmp_path):
    with demo(tmp_path) as running:
        assert running.stdout is not None
        while "published to" not in (line := running.stdout.readline()):
            assert line, running.communicate()
        time.sleep(6.0)  # by now a run is about to start, or has
        started = processes_of(tmp_path)
        running.send_signal(number)
        said, errors = running.communicate(timeout=LONGEST_S)

    assert running.returncode == 130, said + errors
    assert "Traceback" not in errors
    assert len(started) > 4, "the emulator, the web server, the daemon, a code server"
    assert processes_of(tmp_path) == []


def test_without_the_emulator_the_demo_says_so_in_one_line(tmp_path):
    with demo(tmp_path, PATH="") as running:
        said, errors = running.communicate(timeout=LONGEST_S)

    assert running.returncode == 2
    assert said == ""
    assert errors == f"make demo-streaming: {NOT_THERE}\n"
    assert not (tmp_path / "catalogue").exists()
