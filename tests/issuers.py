"""An issuer whose word a test forges: what it publishes and signs is as the test says, by another library than ours."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Semaphore, Thread
from typing import Any
from urllib.parse import parse_qs

from jwcrypto.jwk import JWK, JWKSet
from jwcrypto.jwt import JWT


class Forger(ThreadingHTTPServer):
    """Answers as an issuer does. word: the ID token that it gives; published: its keys; asked: what came for a token.

    came: once for each that asks for a document; answers: whether they are answered yet.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.published, self.word, self.says = [key("one")], "", 200
        self.asked: list[Mapping[str, Any]] = []
        self.came, self.answers = Semaphore(0), Event()
        self.answers.set()
        self.said: dict[str, str] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }


class _Answer(BaseHTTPRequestHandler):
    server: Forger

    def do_GET(self) -> None:
        self.server.came.release()
        self.server.answers.wait(60)
        keys = JWKSet()
        for one in self.server.published:
            keys.add(one)
        self._tell(json.loads(keys.export(private_keys=False)) if self.path == "/keys" else self.server.said)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append({**parse_qs(body), "authorization": self.headers.get("Authorization", "")})
        self._tell({"access_token": "x", "token_type": "Bearer", "id_token": self.server.word}, self.server.says)

    def _tell(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def forger() -> Iterator[Forger]:
    """Serve a forger while a test asks it."""
    with Forger() as made:
        thread = Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def key(name: str) -> JWK:
    return JWK.generate(kty="EC", crv="P-256", kid=name, use="sig")


def signed(claims: Mapping[str, Any], by: JWK, algorithm: str = "ES256") -> str:
    """Sign claims as an issuer does."""
    token = JWT(header={"alg": algorithm, "kid": by.get("kid")}, claims=dict(claims))
    token.make_signed_token(by)
    return str(token.serialize())


def unsigned(claims: Mapping[str, Any]) -> str:
    """Say `none` where a signature would be (RFC 8725 section 2.1)."""
    head, body = (urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in ({"alg": "none"}, claims))
    return f"{head}.{body}."
