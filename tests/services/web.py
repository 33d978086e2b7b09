"""A small HTTP server on a free port of 127.0.0.1: a request in, an answer out."""

import re
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Request:
    """What somebody asks for; names of headers in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def base(self) -> str:
        return f"http://{self.headers['host']}"


@dataclass(frozen=True)
class Answer:
    """What comes back. `sent` of its bytes go out, at `rate` a second; then the line is cut."""

    status: int
    body: bytes = b""
    kind: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None
    bytes_per_s: int | None = None


class Server:
    """Answers until it is stopped, each request in a thread of its connection."""

    def __init__(self, answer: Callable[[Request], Answer | None]) -> None:
        self._http = _Threads(("127.0.0.1", 0), _handler(answer))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._http.hang_up()


def part_of(data: bytes, wanted: str | None) -> tuple[int, bytes, dict[str, str]]:
    """Status, bytes and headers for what a `Range` header asks for."""
    match = _RANGE.fullmatch(wanted.strip()) if wanted else None
    if match is None or not (match[1] or match[2]):
        return 200, data, {"Accept-Ranges": "bytes"}
    size = len(data)
    first = int(match[1]) if match[1] else max(0, size - int(match[2]))
    last = min(size, int(match[2]) + 1) if match[1] and match[2] else size
    if first >= size:
        return 416, b"", {"Content-Range": f"bytes */{size}"}
    return 206, data[first:last], {"Content-Range": f"bytes {first}-{last - 1}/{size}"}


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep for later; their threads close them."""
        while self._open:
            with suppress(OSError, KeyError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Whoever went away is not worth a traceback."""


def _handler(answer: Callable[[Request], Answer | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self._body())
            said = answer(request)
            if said is None:  # the line is cut without a word
                self.close_connection = True
                return
            self.send_response(said.status)
            if said.kind:
                self.send_header("Content-Type", said.kind)
            for name, value in said.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in said.headers:
                self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            if self.command != "HEAD":
                self._send(said)
            self.wfile.flush()

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = answer

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _send(self, said: Answer) -> None:
            body = said.body if said.sent is None else said.body[: said.sent]
            step = said.bytes_per_s or len(body) or 1
            for start in range(0, len(body), step):
                self.wfile.write(body[start : start + step])
                if said.bytes_per_s:
                    self.wfile.flush()
                    threading.Event().wait(1.0)
            if said.sent is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Handler
