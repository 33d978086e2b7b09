"""A proxy before a store's server: counts what is asked, is slow, and breaks what it is told to."""

import http.client
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from tests.services.web import Answer, Request, Server

_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding"}
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_OF_OURS = {"date", "server", "content-length"}  # what the proxy says itself


@dataclass
class Fault:
    """What happens to requests instead of the right answer.

    Args:
        status: that is answered; the server is not asked. None: it is.
        code: that the answer names in its XML.
        on: methods it happens to.
        where: matches the target (path and query) it happens to.
        times: to how many; None: to all.
        after: so many are let through first.
        every: of so many one.
        delay_s: before the answer.
        cut_at: so many bytes of the answer's body are sent before the line is cut.
        is_lost: the server does what it is asked, and nobody hears.
        bytes_per_s: how fast the body comes.
    """

    status: int | None = None
    code: str = "Injected"
    on: str = "GET PUT POST DELETE HEAD"
    where: str = ""
    times: int | None = None
    after: int = 0
    every: int = 1
    delay_s: float = 0.0
    cut_at: int | None = None
    is_lost: bool = False
    bytes_per_s: int | None = None
    met: int = field(default=0, init=False)
    _asked: int = field(default=0, init=False)

    def meets(self, request: Request) -> bool:
        """It happens to this request, or would if it were its turn."""
        return request.method in self.on.split() and bool(
            re.search(self.where, unquote(request.target))
        )

    def takes(self) -> bool:
        """It is its turn."""
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None and self.met >= self.times:
            return False
        self._asked += 1
        if self._asked % self.every:
            return False
        self.met += 1
        return True


class FaultyProxy(Server):
    """Passes requests on to a server.

    Args:
        upstream: the server's URL.
        latency_s: how much later than the server it answers.
    """

    def __init__(self, upstream: str, latency_s: float = 0.0) -> None:
        super().__init__(self._answer)
        self._upstream = urlsplit(upstream).netloc
        self.latency_s = latency_s
        self.asked: list[tuple[str, str]] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._threads = threading.local()
        self._is_over = False
        self._connections: list[http.client.HTTPConnection] = []

    @contextmanager
    def broken(self, *faults: Fault) -> Iterator[tuple[Fault, ...]]:
        """These faults happen inside of the block."""
        self._faults = list(faults)
        try:
            yield faults
        finally:
            self._faults = []

    def count(self, method: str = "", where: str = "") -> int:
        """How many requests there were, of a method, whose target matches."""
        return len([1 for m, t in self.asked if m.startswith(method) and re.search(where, t)])

    def _answer(self, request: Request) -> Answer | None:
        with self._lock:
            self.asked.append((request.method, unquote(request.target)))
            met = (f for f in self._faults if f.meets(request))
            fault = next((f for f in met if f.takes()), None)
        time.sleep(self.latency_s + (fault.delay_s if fault else 0.0))
        if self._is_over:
            return None
        if fault is None:
            return self._passed_on(request)
        if fault.status is not None:
            text = f"{_XML}<Error><Code>{fault.code}</Code><Message>injected</Message></Error>"
            return Answer(fault.status, text.encode(), "application/xml")
        said = self._passed_on(request)
        if fault.is_lost:
            return None
        return Answer(
            said.status, said.body, said.kind, said.headers, fault.cut_at, fault.bytes_per_s
        )

    def _passed_on(self, request: Request) -> Answer:
        for _ in range(2):  # a connection that was kept may be closed by now
            connection = self._connection()
            with suppress(http.client.HTTPException, ConnectionError):
                connection.request(
                    request.method,
                    request.target,
                    body=request.body or None,
                    headers=_passed(request.headers),
                )
                said = connection.getresponse()
                body = said.read()
                told = _passed(dict(said.getheaders()))
                size = said.getheader("Content-Length", "0")
                headers = {k: v for k, v in told.items() if k.lower() not in _OF_OURS}
                if request.method == "HEAD":
                    headers["Content-Length"] = size
                return Answer(said.status, body, "", headers)
            connection.close()
        return Answer(502)

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._threads, "connection"):
            self._threads.connection = http.client.HTTPConnection(self._upstream, timeout=60)
            self._connections.append(self._threads.connection)
        return self._threads.connection

    def __exit__(self, *error: object) -> None:
        self._is_over = True  # for a request that is delayed still
        super().__exit__(*error)
        for connection in self._connections:
            connection.close()


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    # The host stays the one that was asked for: S3's signatures are about it.
    return {k: v for k, v in headers.items() if k.lower() not in _OF_THE_CONNECTION}
