"""Receivers of what goes out: real servers inside the test's process, HTTP, SMTP and syslog, with the faults that they have."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any, NamedTuple

from xmsec.model.clock import EPOCH, HOUR
from xmsec.model.types import Entity, Explanation, Finding, Window


def told(name: str, **facts: Any) -> Finding:
    """A finding with few facts of its own."""
    given = {
        "id": name,
        "time": EPOCH + HOUR,
        "first_seen": EPOCH,
        "detector": "mass-lookup",
        "version": "1",
        "kind": "sigma",
        "title": "批量查询 · Mass lookup",
        "severity": "high",
        "risk": 70,
        "system": "office",
        "stream": "office.web",
        "entity": Entity("user", "u7"),
        "count": 12,
        "window": Window(EPOCH, EPOCH + HOUR),
        "state": "open",
        "explanation": (Explanation("subjects", "120", "7"),),
    }
    return Finding(**{**given, **facts})


class Asked(NamedTuple):
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


Answering = Callable[[Asked], tuple[int, dict[str, str], bytes]]


class Web:
    """An HTTP server that keeps what it is asked. answers: status, headers and body of the next ones; the last one stays."""

    def __init__(self, answers: Sequence[tuple[int, dict[str, str], bytes]]) -> None:
        self.asked: list[Asked] = []
        self.answers = list(answers)
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.asked.append(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                status, headers, told = web.answers.pop(0) if len(web.answers) > 1 else web.answers[0]
                if not status:
                    return  # hangs up without an answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def web(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Web]:
    """Serve HTTP."""
    server = Web(answers or [(200, {}, b'{"errcode":0,"code":0}')])
    try:
        yield server
    finally:
        server.close()


class Mailbox:
    """A mail server: it speaks SMTP, and keeps what it accepts. codes: what it answers to the end of the next mails."""

    def __init__(self, codes: Sequence[int] = (), certificate: ssl.SSLContext | None = None) -> None:
        self.mails: list[bytes] = []
        self.spoken: list[str] = []
        self.codes, self._certificate = list(codes), certificate
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with suppress(OSError), client:
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        lines = client.makefile("rb")
        say = lambda text: client.sendall(text + b"\r\n")  # noqa: E731 - said ten times below
        say(b"220 here")
        for line in lines:
            word = line.strip().upper().split(b" ")[0]
            self.spoken.append(word.decode())
            if word == b"EHLO":
                say(b"250-here\r\n250 STARTTLS" if self._certificate else b"250 here")
            elif word == b"STARTTLS" and self._certificate:
                say(b"220 go on")
                with self._certificate.wrap_socket(client, server_side=True) as safe:
                    self._certificate = None
                    self._after(safe)
                return
            elif word == b"DATA":
                say(b"354 go on")
                mail = b""
                for part in lines:
                    if part == b".\r\n":
                        break
                    mail += part
                code = self.codes.pop(0) if self.codes else 250
                if code == 250:
                    self.mails.append(mail)
                say(b"%d said" % code)
            elif word == b"QUIT":
                say(b"221 bye")
                return
            else:
                say(b"250 ok")

    def _after(self, safe: socket.socket) -> None:
        lines = safe.makefile("rb")
        for line in lines:
            word = line.strip().upper().split(b" ")[0]
            self.spoken.append("TLS " + word.decode())
            if word == b"EHLO":
                safe.sendall(b"250-here\r\n250 AUTH PLAIN\r\n")
            elif word == b"AUTH":
                safe.sendall(b"235 welcome\r\n")
            elif word == b"DATA":
                safe.sendall(b"354 go on\r\n")
                while (part := lines.readline()) != b".\r\n":
                    self.mails.append(part)
                safe.sendall(b"250 ok\r\n")
            elif word == b"QUIT":
                safe.sendall(b"221 bye\r\n")
                return
            else:
                safe.sendall(b"250 ok\r\n")


@contextmanager
def mailbox(*codes: int, certificate: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """Serve SMTP."""
    box = Mailbox(codes, certificate)
    try:
        yield box
    finally:
        box.close()


class Collector:
    """A syslog receiver over TCP or TLS: it puts each octet-counted message into `lines`, and may hang up."""

    def __init__(self, certificate: ssl.SSLContext | None = None) -> None:
        self.lines: Queue[bytes] = Queue()
        self._certificate = certificate
        self._clients: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def hang_up(self) -> None:
        """End every connection, so that its other side is told."""
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._clients.clear()

    def close(self) -> None:
        self.hang_up()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
                if self._certificate is not None:
                    client = self._certificate.wrap_socket(client, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            self._clients.append(client)
            Thread(target=self._read, args=(client,), daemon=True).start()

    def _read(self, client: socket.socket) -> None:
        with suppress(OSError), client, client.makefile("rb") as stream:
            while True:
                length = b""
                while (byte := stream.read(1)) not in (b" ", b""):
                    length += byte
                if not length:
                    return
                self.lines.put(stream.read(int(length)))


@contextmanager
def collector(certificate: ssl.SSLContext | None = None) -> Iterator[Collector]:
    """Take in syslog over TCP, or TLS with a certificate."""
    server = Collector(certificate)
    try:
        yield server
    finally:
        server.close()
