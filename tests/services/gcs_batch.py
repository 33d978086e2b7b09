"""Batches of the JSON API: requests in the parts of one, each answered in a part of its own."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.services.web import Answer, Request

_PATH = "/batch/storage/v1"
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_ASKED = re.compile(r"^(GET|DELETE|PATCH|POST|PUT)\s+(\S+)(.*)", re.MULTILINE | re.DOTALL)
_ID = re.compile(r"^content-id:\s*<?([^>\s]+)", re.MULTILINE | re.IGNORECASE)
_OURS = "klio-tests-batch"


def is_batch_path(path: str) -> bool:
    return path.startswith(_PATH)


def batch_answer(request: Request, one: Callable[[Request], Answer]) -> Answer:
    """What the server answers to all parts.

    Args:
        request: the whole of them.
        one: answers a single request.
    """
    match = _BOUNDARY.search(request.headers["content-type"])
    assert match is not None
    parts = request.body.decode().split(f"--{match[1]}")[1:-1]
    said = [_said(part, one(_asked(part, request))) for part in parts]
    body = "".join(f"--{_OURS}\r\n{part}\r\n" for part in said) + f"--{_OURS}--\r\n"
    return Answer(200, body.encode(), f"multipart/mixed; boundary={_OURS}")


def _asked(part: str, request: Request) -> Request:
    match = _ASKED.search(part)
    assert match is not None, part
    target = urlsplit(match[2])
    query = f"?{target.query}" if target.query else ""
    body = re.split(r"\r?\n\r?\n", match[3], maxsplit=1)[-1].strip()
    return Request(match[1], target.path + query, request.headers, body.encode())


def _said(part: str, answer: Answer) -> str:
    match = _ID.search(part)
    named = f"Content-ID: <response-{match[1]}>\r\n" if match else ""
    return (
        f"Content-Type: application/http\r\n{named}\r\nHTTP/1.1 {answer.status} Said\r\n"
        f"Content-Type: {answer.kind or 'text/plain'}\r\nContent-Length: {len(answer.body)}\r\n"
        f"\r\n{answer.body.decode()}"
    )
