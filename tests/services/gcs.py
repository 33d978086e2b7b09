"""A server that speaks both of Google Cloud Storage's APIs, on a free port of 127.0.0.1."""

import json
from collections.abc import Iterator

import pytest

from tests.services.gcs_batch import batch_answer, is_batch_path
from tests.services.gcs_json import is_json_path, json_answer
from tests.services.gcs_objects import Buckets
from tests.services.gcs_xml import xml_answer
from tests.services.web import Answer, Request, Server

BUCKET = "klio-tests"


class GcsServer(Server):
    """A running one with a bucket. Its clock is ours, plus `buckets.offset_s`."""

    def __init__(self) -> None:
        self.buckets = Buckets()
        self.buckets.create(BUCKET)
        super().__init__(self._answer)

    def names(self, prefix: str = "") -> list[str]:
        """Of the objects there are."""
        return sorted(name for name in self.buckets.objects(BUCKET) if name.startswith(prefix))

    def _answer(self, request: Request) -> Answer:
        if request.path == "/token":
            token = {"access_token": "x", "token_type": "Bearer", "expires_in": 3600}
            return Answer(200, json.dumps(token).encode(), "application/json")
        if is_batch_path(request.path):
            return batch_answer(request, self._answer)
        speak = json_answer if is_json_path(request.path) else xml_answer
        return speak(self.buckets, request)


def gcs_options(endpoint: str) -> dict[str, str]:
    """What opens `gs://` stores at a server of ours."""
    return {"base_url": endpoint, "skip_signature": "true", "allow_http": "true"}


@pytest.fixture
def gcs() -> Iterator[GcsServer]:
    with GcsServer() as server:
        yield server
