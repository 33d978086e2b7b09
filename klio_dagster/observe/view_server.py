"""The page of `klio view` over HTTP, for this machine only.

The standard library's server with a thread a connection: one person looks at a page, and the
library's own dependencies bring no web server.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, urlsplit

from klio_dagster.errors import ConfigError, KlioError, ObjectNotFoundError
from klio_dagster.observe.preview import preview_of
from klio_dagster.observe.view import Output, View
from klio_dagster.observe.view_query import Query
from klio_dagster.version import __version__

HOST = "127.0.0.1"
_NAMES = {HOST, "localhost"}  # a page elsewhere that resolves its name to us sends that name
_CHUNK = 1 << 16
_IDLE_S = 60

# Nothing but our own files: what an id or metadata smuggles in is neither loaded nor executed.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; media-src 'self'; img-src 'self' data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
}
_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Args:
        body: open; closed once it is sent.
        size: of the body in bytes.
        kind: the content type.
        status: of HTTP.
        headers: others.
    """

    body: BinaryIO
    size: int
    kind: str
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class ViewServer(ThreadingHTTPServer):
    """Serves views on 127.0.0.1.

    Args:
        views: at least one; the first is shown unless another catalogue is asked for.
        port: 0 for a free one.
        dagster_url: of Dagster's pages, without a slash at the end.

    Raises:
        OSError: the port is in use.
    """

    daemon_threads = True

    def __init__(self, views: Sequence[View], *, port: int, dagster_url: str) -> None:
        super().__init__((HOST, port), _Handler)
        self.views = {view.catalogue: view for view in views}
        self.dagster_url = dagster_url

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}"

    def view_of(self, asked: Mapping[str, str]) -> View:
        """The view of the catalogue a request names.

        Raises:
            ObjectNotFoundError: there is no such catalogue.
        """
        name = asked.get("catalogue") or next(iter(self.views))
        if name not in self.views:
            raise ObjectNotFoundError(f"no catalogue {name!r}", "project", "see what it defines")
        return self.views[name]

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about readers that went away: a player that seeks does so all the time."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # pyright: ignore[reportArgumentType]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    timeout = _IDLE_S
    server: ViewServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        """Answer with a body."""
        self._send(self._answer(), with_body=True)

    def do_HEAD(self) -> None:
        """Answer without one."""
        self._send(self._answer(), with_body=False)

    def version_string(self) -> str:
        """What the server calls itself."""
        return f"klio/{__version__}"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: the terminal is the command's."""

    def _answer(self) -> Answer:
        host = self.headers.get("Host", "").rpartition(":")
        if (host[0] or host[2]).casefold() not in _NAMES:
            return _problem(HTTPStatus.FORBIDDEN, f"this page is at {self.server.url} only")
        address = urlsplit(self.path)
        asked = dict(parse_qsl(address.query, keep_blank_values=True))
        try:
            if address.path == "/output":
                return self._output(asked)
            route = _ROUTES.get(address.path)
            if route is not None:
                return _json_answer(route(self.server, asked))
            return _page_file(address.path)
        except ObjectNotFoundError as error:
            return _problem(HTTPStatus.NOT_FOUND, str(error))
        except ConfigError as error:
            return _problem(HTTPStatus.BAD_REQUEST, str(error))
        except KlioError as error:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def _output(self, asked: Mapping[str, str]) -> Answer:
        view = self.server.view_of(asked)
        found = view.output(asked.get("asset", ""), asked.get("entity", ""))
        # Hashed: a version that somebody has reported to Dagster may be any text, also two headers.
        tag = f'"{sha256(found.version.encode(errors="surrogatepass")).hexdigest()[:32]}"'
        suffix = "." + found.path.rpartition(".")[2]
        headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
        kind = _TYPES.get(suffix, _UNKNOWN_TYPE) if found.codec == "audio" else _UNKNOWN_TYPE
        if kind == _UNKNOWN_TYPE:
            headers["Content-Disposition"] = f'attachment; filename="output{suffix}"'
        if found.version and self.headers.get("If-None-Match") == tag:
            return Answer(BytesIO(), 0, kind, HTTPStatus.NOT_MODIFIED, headers)
        body, size = _opened(found)
        if self.headers.get("If-Range", tag) != tag:
            return Answer(body, size, kind, HTTPStatus.OK, headers)
        return _part(Answer(body, size, kind, HTTPStatus.OK, headers), self.headers.get("Range"))

    def _send(self, answer: Answer, *, with_body: bool) -> None:
        with answer.body as body:
            self.send_response(answer.status)
            for name, value in {**_HEADERS, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.kind)
            if answer.status is not HTTPStatus.NOT_MODIFIED:
                self.send_header("Content-Length", str(answer.size))
            self.end_headers()
            left = answer.size if with_body else 0
            while left and (chunk := body.read(min(_CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)
            if left:  # the file became shorter: the reader must not wait for the rest
                self.close_connection = True


def _opened(output: Output) -> tuple[BinaryIO, int]:
    """The bytes of an output and how many they are.

    Raises:
        ObjectNotFoundError: the output is gone.
        StoreUnavailableError: the store did not answer.
    """
    path = output.store.local_path(output.path)
    if path is not None:
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            return path.open("rb"), size
    data = output.store.get(output.path)
    return BytesIO(data), len(data)


def _part(whole: Answer, asked: str | None) -> Answer:
    """The part of an answer that a `Range` header asks for; all of it where that says nothing."""
    unit, _, ranges = (asked or "").partition("=")
    first, dash, last = (part.strip() for part in ranges.partition("-"))
    numbers = [part for part in (first, last) if part]
    if unit.strip() != "bytes" or not dash or not numbers or not all(map(_is_number, numbers)):
        return whole  # several ranges at once too, as the standard allows
    start = int(first) if first else max(0, whole.size - int(last))
    end = min(int(last), whole.size - 1) if first and last else whole.size - 1
    if first and last and int(last) < start:
        return whole
    if start > end:
        whole.body.close()
        headers = {**whole.headers, "Content-Range": f"bytes */{whole.size}"}
        status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        return Answer(BytesIO(), 0, whole.kind, status, headers)
    whole.body.seek(start)
    headers = {**whole.headers, "Content-Range": f"bytes {start}-{end}/{whole.size}"}
    return Answer(whole.body, end - start + 1, whole.kind, HTTPStatus.PARTIAL_CONTENT, headers)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _page_file(path: str) -> Answer:
    """A file of the page, one of those that are there and no other.

    Raises:
        ObjectNotFoundError: there is none.
    """
    folder = files("klio_dagster.observe") / "page"
    name = path.removeprefix("/") or "index.html"
    found = next((each for each in folder.iterdir() if each.name == name), None)
    if found is None:
        raise ObjectNotFoundError("there is no such page", where=path, fix="begin at /")
    data = found.read_bytes()
    kind = _TYPES.get("." + name.rpartition(".")[2], _UNKNOWN_TYPE)
    return Answer(BytesIO(data), len(data), kind, headers={"Cache-Control": "no-cache"})


def _json_answer(value: object, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    data = json.dumps(value, allow_nan=False).encode()
    headers = {"Cache-Control": "no-store"}
    return Answer(BytesIO(data), len(data), "application/json", status, headers)


def _problem(status: HTTPStatus, line: str) -> Answer:
    return _json_answer({"problem": line}, status)


def _summary(server: ViewServer, asked: Mapping[str, str]) -> dict[str, Any]:
    others = {"catalogues": list(server.views), "dagster": server.dagster_url}
    return {**server.view_of(asked).summary(), **others}


def _next_failed(server: ViewServer, asked: Mapping[str, str], *, back: bool) -> dict[str, Any]:
    view = server.view_of(asked)
    return view.next_failed(Query.parse(asked), asked.get("entity", ""), back=back)


def _preview(server: ViewServer, asked: Mapping[str, str]) -> dict[str, Any]:
    view = server.view_of(asked)
    return preview_of(view.output(asked.get("asset", ""), asked.get("entity", "")))


_ROUTES: Mapping[str, Callable[[ViewServer, Mapping[str, str]], Any]] = {
    "/api/summary": _summary,
    "/api/page": lambda server, asked: server.view_of(asked).page(Query.parse(asked)),
    "/api/next-failed": partial(_next_failed, back=False),
    "/api/previous-failed": partial(_next_failed, back=True),
    "/api/entity": lambda server, asked: server.view_of(asked).entity(asked.get("entity", "")),
    "/api/explain": lambda server, asked: server.view_of(asked).explained(asked.get("entity", "")),
    "/api/preview": _preview,
}
