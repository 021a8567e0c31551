"""How a bench visits a console: as a browser that is signed in, and as many pages that wait for news."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from contextlib import closing
from socket import SHUT_RDWR
from statistics import median, quantiles
from threading import Event, Thread
from urllib.parse import urlsplit

import msgspec

from xmsec.model.errors import ServiceError

PATIENCE_S = 60.0
_COOKIE = "xmsec-session"


class Site(msgspec.Struct, frozen=True):
    """Where the console is, and the secret of somebody's session."""

    url: str
    secret: str

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection, to be closed by who asks."""
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_S)

    def ask(self, connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
        """Ask for a path; the answer's body is still to be read. Raises ServiceError."""
        try:
            connection.request("GET", path, headers={"Cookie": f"{_COOKIE}={self.secret}"})
            answer = connection.getresponse()
        except OSError as error:
            raise ServiceError(f"does not answer ({error})", where=f"{self.url}{path}", remedy="see what it said") from error
        if answer.status != http.client.OK:
            raise ServiceError(f"answered {answer.status}", where=f"{self.url}{path}", remedy="see what it said")
        return answer


class Answer(msgspec.Struct, frozen=True):
    """How long a page takes until its last byte, and its size."""

    median_ms: float
    p95_ms: float
    size: int


def visit(site: Site, path: str, times: int) -> Answer:
    """Ask for a page again and again, after one that is not counted."""
    taken_ms: list[float] = []
    size = 0
    with closing(site.connect()) as connection:
        for _ in range(times + 1):
            begun_s = time.perf_counter()
            size = len(site.ask(connection, path).read())
            taken_ms.append((time.perf_counter() - begun_s) * 1e3)
    return timed(taken_ms[1:], size)


def timed(taken_ms: Sequence[float], size: int = 0) -> Answer:
    """Say what a row of times comes to."""
    p95_ms = quantiles(taken_ms, n=20)[-1] if len(taken_ms) > 1 else taken_ms[0]
    return Answer(round(median(taken_ms), 1), round(p95_ms, 1), size)


class Listeners:
    """Pages that wait for news, a thread each."""

    def __init__(self, site: Site, number: int) -> None:
        self._pages = [_Listener(site) for _ in range(number)]

    def wait(self) -> None:
        """Wait until every page is told news. Raises ServiceError."""
        for page in self._pages:
            if not page.here.wait(PATIENCE_S):
                raise ServiceError("tells no news", where="/findings/live", remedy="see what it said")

    def news(self) -> int:
        """Return how many findings the pages were told of, all together."""
        return sum(page.told for page in self._pages)

    def close(self) -> None:
        """Close every page."""
        for page in self._pages:
            page.close()


class _Listener:
    """One of them. here: news come from now on; told: of how many findings."""

    def __init__(self, site: Site) -> None:
        self.here, self.told = Event(), 0
        self._connection = site.connect()
        self._answer = site.ask(self._connection, "/findings/live")
        self._socket = self._connection.sock
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.shutdown(SHUT_RDWR)  # wakes the thread that reads
        self._thread.join()
        self._answer.close()
        self._connection.close()

    def _listen(self) -> None:
        for line in self._answer:
            if line.startswith(b"event: here"):
                self.here.set()
            elif line.startswith(b"data: ") and (said := msgspec.json.decode(line[6:])):
                self.told += said["count"] + said["more"]
