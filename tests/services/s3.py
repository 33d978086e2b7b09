"""An S3 server: versitygw over a folder, built once by Go, on a free port of 127.0.0.1."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.gcs import BUCKET
from tests.services.ports import free_port, listens
from tests.services.waiting import wait_until

NOT_THERE = "versitygw is not there and Go is not installed, so it cannot be built"
_MODULE = "github.com/versity/versitygw/cmd/versitygw@latest"
# In the user's own cache where the checkout is one of many.
_FOLDERS = (Path(__file__).parents[2] / ".cache" / "bin", Path("~/.cache/klio/bin").expanduser())
_START_S = 20.0


def program() -> str | None:
    """The server's program, built if need be (about two minutes); None where that is impossible."""
    for folder in _FOLDERS:
        if (folder / "versitygw").exists():
            return str(folder / "versitygw")
    go = shutil.which("go")
    if go is None:
        return None
    folder = _FOLDERS[0]
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [go, "install", _MODULE],
        env={**os.environ, "GOBIN": str(folder)},
        capture_output=True,
        check=False,
    )
    return str(folder / "versitygw") if done.returncode == 0 else None


def s3_options(endpoint: str) -> dict[str, str]:
    """What opens `s3://` stores at a server of ours."""
    return {
        "endpoint": endpoint,
        "access_key_id": "klio",
        "secret_access_key": "klio-tests-secret",
        "region": "us-east-1",
        "allow_http": "true",
    }


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server with a bucket."""
    command = program()
    if command is None:
        pytest.skip(NOT_THERE)
    folder = tmp_path_factory.mktemp("s3")
    (folder / BUCKET).mkdir()
    port = free_port()
    options = s3_options("")
    keys = ["--access", options["access_key_id"], "--secret", options["secret_access_key"]]
    server = subprocess.Popen(
        [command, "--port", f"127.0.0.1:{port}", *keys, "posix", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_it_answers(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def wait_until_it_answers(port: int) -> None:
    """Return once something listens there."""
    wait_until(lambda: listens(port), _START_S, f"nothing listens at port {port}")
