"""`klio dev`: the UI on the same home, and nothing of it left when it ends."""

import importlib.util
import json
import signal
import socket
import subprocess
import urllib.request

import pytest

from klio_dagster.cli.main import main
from tests.services.ports import free_port


@pytest.fixture
def port():
    return free_port()


def test_the_ui_serves_this_project_and_ctrl_c_leaves_no_process(project, port):
    running = project.start("dev", "--port", str(port), "--json")
    said = json.loads(running.stdout.readline())

    with urllib.request.urlopen(f"{said['address']}/server_info") as answer:
        served = json.load(answer)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)

    assert "dagster_webserver_version" in served
    assert said["home"] == str(project.home)
    assert running.returncode == 0
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert f"-p {port}" not in left.stdout
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_a_port_in_use_is_one_line(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = project.klio("dev", "--port", str(port))

    assert done.code == 2
    assert done.err.startswith(f"port {port}: something listens there already")
    assert done.err.count("\n") == 1


def test_without_the_web_server_one_line_says_what_to_install(project, monkeypatch, capsys):
    import klio_dagster.cli.dev as dev

    monkeypatch.chdir(project.folder)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        dev, "find_spec", lambda name: None if name == "dagster_webserver" else found(name)
    )

    code = main(["dev"])

    told = capsys.readouterr().err
    assert code == 2
    assert told == (
        "klio dev: dagster-webserver is not installed; install it: pip install dagster-webserver\n"
    )
