"""`klio dev`: Dagster's web server and daemon on this project."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import click

from klio_dagster.cli.home import ensure_home
from klio_dagster.cli.output import common, example, print_json, warn
from klio_dagster.cli.workspace import WORKSPACE, find_folder
from klio_dagster.defs.engines import SPARES
from klio_dagster.errors import ConfigError

_HOST = "127.0.0.1"
_POLL_S = 0.2
_GRACE_S = 8.0  # the web server and the daemon end their code servers first


@click.command(epilog=example("klio dev", "klio dev --port 3333"))
@click.option("--port", type=click.IntRange(1, 65535), default=3000, help="Default: 3000.")
@common
def dev(port: int, as_json: bool) -> int:
    """Open Dagster's UI on this project, with the same home as the other commands.

    Ctrl-C ends everything it started.
    """
    folder = find_folder(Path.cwd())
    _check_startable(port)
    home = ensure_home(folder)
    command = [sys.executable, "-m", "dagster", "dev", "-h", _HOST, "-p", str(port)]
    if (folder / WORKSPACE).is_file():
        command += ["-w", WORKSPACE]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A session of its own: Ctrl-C reaches this process only, which then ends all of them.
    spares = tempfile.mkdtemp(prefix="klio-")  # ours alone; its drivers end when it is gone
    server = subprocess.Popen(
        command,
        cwd=folder,
        env={
            **os.environ,
            "DAGSTER_HOME": str(home),
            "PYTHONWARNINGS": _warnings(),
            SPARES: spares,
        },
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
    )
    try:
        _wait_until_open(server, port)
        address = f"http://{_HOST}:{port}"
        if as_json:
            print_json({"address": address, "home": str(home)})
        else:
            click.echo(f"Dagster's UI: {address} (Ctrl-C ends it)")
            click.echo("To see and hear the tracks: klio view, in another terminal")
        server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end_session(server)
        shutil.rmtree(spares, ignore_errors=True)
    warn(f"klio dev: dagster dev ended with code {server.returncode}; see what it said above")
    return 2


def _warnings() -> str:
    """What the environment asks for, without Dagster's word on `dagster dev` itself.

    It names `dg dev`, which would open another home.
    """
    asked = os.environ.get("PYTHONWARNINGS")
    return ",".join([*([asked] if asked else []), "ignore:Function `dev_command` is superseded"])


def _check_startable(port: int) -> None:
    """Refuse what would otherwise end in a page of log.

    Raises:
        ConfigError: the web server is not installed, or its port is in use.
    """
    if find_spec("dagster_webserver") is None:
        raise ConfigError(
            "dagster-webserver is not installed",
            where="klio dev",
            fix="install it: pip install dagster-webserver",
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise ConfigError(
                f"something listens there already ({error.strerror})",
                where=f"port {port}",
                fix="use another one with --port",
            ) from error


def _wait_until_open(server: "subprocess.Popen[bytes]", port: int) -> None:
    while server.poll() is None:
        with suppress(OSError), socket.create_connection((_HOST, port), timeout=_POLL_S):
            return
        time.sleep(_POLL_S)


def _end_session(server: "subprocess.Popen[bytes]") -> None:
    """End all processes of the session; the web server may outlive a polite request."""
    with suppress(ProcessLookupError):
        server.send_signal(signal.SIGINT)  # to the first alone, which ends the others in order
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + _GRACE_S
            while time.monotonic() < deadline and _is_alive(server):
                time.sleep(_POLL_S)
            os.killpg(server.pid, number)
    server.wait()


def _is_alive(server: "subprocess.Popen[bytes]") -> bool:
    """Whether any process of the group is left."""
    server.poll()
    with suppress(ProcessLookupError):
        os.killpg(server.pid, 0)
        return True
    return False
