"""What stands before Elasticsearch in a department: TLS with its own CA, a login, and now and then an error.

The published jars of the node hold no security module, so this ends TLS and checks the login as that module does, and hands
everything else on to the real node.
"""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

PASSWORD = "correct horse, battery staple"
API_KEY = base64.b64encode(b"id:made-for-a-test").decode()
LOGINS = (f"ApiKey {API_KEY}", "Basic " + base64.b64encode(f"xmsec:{PASSWORD}".encode()).decode())
READER = "Basic " + base64.b64encode(f"reader:{PASSWORD}".encode()).decode()


@dataclass(frozen=True)
class Certificates:
    """A CA, a certificate of it for `localhost`, and another CA."""

    ca: Path
    chain: Path
    key: Path
    other_ca: Path


def certificates(folder: Path) -> Certificates:
    """Make them; skips the test where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl; run: apt-get install -y --no-install-recommends openssl")
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    extensions = ["-addext", "keyUsage=critical,keyCertSign"]
    for name in ("ca", "other"):
        _openssl(
            folder, "req", "-x509", *new, *extensions, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"
        )
    _openssl(folder, "req", *new, "-subj", "/CN=localhost", "-keyout", "node.key", "-out", "node.csr")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    _openssl(folder, "x509", "-req", "-in", "node.csr", *signed, "-out", "node.pem")
    return Certificates(folder / "ca.pem", folder / "node.pem", folder / "node.key", folder / "other.pem")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@dataclass
class Gateway:
    """answers: what bulk requests get instead of the node's answer, one after the other; asked: their sizes in documents.

    midway: what happens, once, when the node has the next bulk request and has not answered it.
    """

    node: str
    url: str = ""
    logins: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    answers: deque[int] = field(default_factory=deque)
    asked: list[int] = field(default_factory=list)
    midway: Callable[[], None] | None = None


@contextmanager
def gateway(node: str, made: Certificates | None = None) -> Iterator[Gateway]:
    """Serve a node over TLS to who has a login; without certificates plainly to everybody."""
    door = Gateway(node, logins=LOGINS if made else (), readers=(READER,) if made else ())
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(door))
    if made:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.chain, made.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    door.url = f"{'https://localhost' if made else 'http://127.0.0.1'}:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(door: Gateway) -> type[BaseHTTPRequestHandler]:
    own = ("host", "authorization", "connection")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            try:
                super().handle()
            except (ssl.SSLError, ConnectionError):  # who does not trust us goes without a word
                self.close_connection = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            bulk = urlsplit(self.path).path.endswith("_bulk")
            login = self.headers.get("Authorization", "")
            if door.logins and login not in (*door.logins, *door.readers):
                return self.refuse(401, "security_exception", "unable to authenticate")
            if login in door.readers and self.command not in ("GET", "HEAD"):
                return self.refuse(403, "security_exception", "action is unauthorized")
            if bulk:
                door.asked.append(body.count(b"\n") // 2)
                if door.answers:
                    return self.refuse(door.answers.popleft(), "es_rejected_execution_exception", "rejected")
            return self.hand_on(body)

        def hand_on(self, body: bytes) -> None:
            there = urlsplit(door.node)
            kept = {name: value for name, value in self.headers.items() if name.lower() not in own}
            with closing(HTTPConnection(there.hostname or "", there.port, timeout=60)) as connection:  # also when the node dies
                connection.request(self.command, self.path, body, kept)
                if self.path.partition("?")[0].endswith("_bulk") and door.midway:
                    strike, door.midway = door.midway, None
                    strike()
                answer = connection.getresponse()
                told = answer.read()
            self.reply(answer.status, told, answer.getheader("Content-Type", ""), answer.getheader("Content-Length"))

        def refuse(self, status: int, kind: str, reason: str) -> None:
            said: Any = {"error": {"type": kind, "reason": reason, "root_cause": []}, "status": status}
            self.reply(status, json.dumps(said).encode(), "application/vnd.elasticsearch+json;compatible-with=9")

        def reply(self, status: int, body: bytes, kind: str, length: str | None = None) -> None:
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: object) -> None:
            """Say nothing."""

    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    return Handler
