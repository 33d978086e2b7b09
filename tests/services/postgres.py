"""A PostgreSQL server of our own: made for the tests, on a free port of 127.0.0.1, and removed."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests.services.ports import free_port

NOT_THERE = (
    "PostgreSQL's server programs are not installed (Debian: tools/debian-packages.sh brings them)"
)
_START_S = 60.0


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`: Debian keeps it off the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PostgresServer]":
    """A running server; the tests that need it are skipped where it is not installed."""
    folder = programs()
    if folder is None:
        pytest.skip(NOT_THERE)
    server = PostgresServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.remove()


class PostgresServer:
    """A server with databases that share nothing.

    Args:
        programs: the folder of `initdb` and `postgres`.
        durable: whether it waits for the disk; tests do not care, benchmarks do.
    """

    def __init__(self, programs: Path, *, durable: bool = False) -> None:
        self._programs = programs
        # Not below pytest's folders, which only their owner may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="klio-postgres-"))
        # The server refuses to be root's.
        self._user = _unprivileged() if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "-D", self._data, "-U", "klio", "-A", "trust", "-E", "UTF8", "-N")
        self.port = free_port()
        self._settings = [f"fsync={'on' if durable else 'off'}", "unix_socket_directories="]
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._server is not None:
            return
        arguments = [str(self._programs / "postgres"), "-D", self._data]
        arguments += ["-h", "127.0.0.1", "-p", str(self.port)]
        arguments += [word for setting in self._settings for word in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(arguments, stdout=log, stderr=log, **self._as_user())
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._server.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, as a crash would: what was not committed is lost."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait()
            self._server = None

    def remove(self) -> None:
        """End it and delete what it wrote."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_database(self, like: str = "template1") -> str:
        """The URL of a database; empty unless it is to be like another one."""
        name = f"klio_{uuid4().hex[:12]}"
        template = like.rpartition("/")[2]
        self.ask(f"create database {name} template {template}", self._url("postgres"))
        return self._url(name)

    def ask(self, statement: str, url: str) -> list[tuple]:
        """The rows of a statement."""
        import psycopg2

        with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg2://klio@127.0.0.1:{self.port}/{database}"

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _answers(self) -> bool:
        asked = ["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        asked[0] = str(self._programs / asked[0])
        return subprocess.run(asked, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, check=False, **self._as_user())
        assert done.returncode == 0, done.stderr.decode()

    def _as_user(self) -> dict:
        own = {"cwd": self._folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}}
        return own | ({"user": self._user, "extra_groups": []} if self._user else {})


def _unprivileged() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
