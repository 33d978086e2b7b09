"""Azure's blob storage: Azurite, installed once by npm, on a free port of 127.0.0.1."""

import base64
import hashlib
import hmac
import http.client
import shutil
import subprocess
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.services.gcs import BUCKET
from tests.services.ports import free_port
from tests.services.s3 import wait_until_it_answers

NOT_THERE = "azurite is not there (`npm install --prefix .cache/azurite azurite`)"
_ACCOUNT = "devstoreaccount1"
# The key that is in every emulator's documentation.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_FOLDERS = (
    Path(__file__).parents[2] / ".cache" / "azurite",
    Path("~/.cache/klio/azurite").expanduser(),
)


def program() -> str | None:
    """The server's program; None where it is not installed: npm loads 200 packages for it."""
    for folder in _FOLDERS:
        found = folder / "node_modules" / ".bin" / "azurite-blob"
        if found.exists() and shutil.which("node"):
            return str(found)
    return None


def azure_options(endpoint: str) -> dict[str, str]:
    """What opens `az://` stores at a server of ours."""
    return {
        "account_name": _ACCOUNT,
        "account_key": _KEY,
        "endpoint": f"{endpoint}/{_ACCOUNT}",
        "allow_http": "true",
    }


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server with a container."""
    command = program()
    if command is None:
        pytest.skip(NOT_THERE)
    folder = tmp_path_factory.mktemp("azure")
    port = free_port()
    server = subprocess.Popen(
        [
            *(command, "--silent", "--skipApiVersionCheck", "--disableTelemetry"),
            *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(port)
        _make_container(url)
        yield url
    finally:
        server.kill()
        server.wait()


def _make_container(url: str) -> None:
    """obstore makes no containers; a signed URL of it, put once, does."""
    path = f"/{_ACCOUNT}/{BUCKET}"
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    said = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    text = "PUT" + "\n" * 12 + f"{said}/{_ACCOUNT}{path}\nrestype:container"
    digest = hmac.new(base64.b64decode(_KEY), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("PUT", f"{path}?restype=container", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()
