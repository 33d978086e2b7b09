"""Who we are for a bucket's server: a key file, the environment, or nobody."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from klio_dagster.store.store import Store
from tests.services.gcs import BUCKET, GcsServer, gcs_options
from tests.services.s3 import s3_options
from tests.services.web import Answer, Request


class Listening(GcsServer):
    """Keeps what it was told about who asks."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def _answer(self, request: Request) -> Answer:
        self.told.append(request.headers.get("authorization", ""))
        return super()._answer(request)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = tmp_path / "key.json"
    account = {
        "type": "service_account",
        "client_email": "klio@tests.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": text.decode(),
    }
    file.write_text(json.dumps(account))
    return file


def test_a_key_file_speaks_for_us_named_in_the_options_or_the_environment(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
):
    with Listening() as server:
        options = {k: v for k, v in gcs_options(server.url).items() if k != "skip_signature"}
        named = Store.open(f"gs://{BUCKET}", options={**options, "service_account": str(key_file)})
        named.put("a", b"x")
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(key_file))
        Store.open(f"gs://{BUCKET}", options=options).put("b", b"x")

        assert len(server.told) == 2
        assert all(token.startswith("Bearer ey") for token in server.told)


def test_nobody_is_nobody_and_asks_no_machine_for_an_identity():
    with Listening() as server:
        store = Store.open(f"gs://{BUCKET}", options=gcs_options(server.url))

        store.put("a", b"x")

        assert set(server.told) <= {"", "Bearer "}


def test_keys_of_the_environment_count_where_none_are_given(
    s3: str, monkeypatch: pytest.MonkeyPatch
):
    options = s3_options(s3)
    for name in ("access_key_id", "secret_access_key"):
        monkeypatch.setenv(f"AWS_{name.upper()}", options.pop(name))

    store = Store.open(f"s3://{BUCKET}/env", options=options)

    store.put("a", b"x")
    assert store.get("a") == b"x"


def test_no_key_is_shown_with_a_store(s3: str):
    options = s3_options(s3)
    store = Store.open(f"s3://klio:klio-tests-secret@{BUCKET}/shown", options=options)

    shown = f"{store} {store!r} {store.url} {store.access!r} {store.uri('a')}"

    assert "secret" not in shown
