"""One POST of JSON: no redirect, no proxy of the environment, a bounded answer, and what an answer means for a retry."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import msgspec

from xmsec.model.errors import ConfigError
from xmsec.notify.target import Target, UndeliveredError

TIMEOUT_S = 10.0  # a receiver that needs longer is asked again
ANSWER_BYTES = 64 << 10
_LATER = frozenset((401, 403, 404, 408, 409, 425, 429))  # refused now; a person may put it right, and it is sent then


class Answer(msgspec.Struct, frozen=True):
    """What a receiver answered with success."""

    status: int
    body: bytes


def context(target: Target) -> ssl.SSLContext:
    """Return how certificates are checked: always, by the target's own CA or the system's. Raises ConfigError."""
    try:
        found = ssl.create_default_context(cafile=target.ca or None)
        if target.cert:
            found.load_cert_chain(target.cert, target.key or None)
    except (OSError, ssl.SSLError) as error:
        where = f"{target.ca or target.cert}"
        raise ConfigError("certificate or CA cannot be read", where=where, remedy="write PEM files") from error
    return found


def post(target: Target, query: str, body: bytes, headers: Mapping[str, str], now_s: float) -> Answer:
    """Send a body to a target's address with `query` behind it. Raises UndeliveredError."""
    parts = urlsplit(target.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if query:
        path += query if parts.query else f"?{query.removeprefix('&')}"
    asked = connection(target)
    try:
        asked.request("POST", path, body, {"Content-Type": "application/json", "User-Agent": "xmsec", **headers})
        answer = asked.getresponse()
        told, status, wait = answer.read(ANSWER_BYTES), answer.status, answer.getheader("Retry-After", "")
    except (OSError, HTTPException) as error:
        what = f"the receiver does not answer ({type(error).__name__})"
        raise UndeliveredError(what, where=target.shown, remedy="it is sent again") from error
    finally:
        asked.close()
    if 200 <= status < 300:
        return Answer(status, told)
    lasting = 400 <= status < 500 and status not in _LATER
    remedy = "see the receiver's own log" if lasting else "it is sent again"
    raise UndeliveredError(
        f"the receiver answers {status}", where=target.shown, remedy=remedy, retry=not lasting, after_s=_after(wait, now_s)
    )


def connection(target: Target) -> HTTPConnection:
    """Return a connection to a target, by TLS where its address says so. Raises ConfigError."""
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=context(target))
    return HTTPConnection(host, parts.port, timeout=TIMEOUT_S)


def _after(text: str, now_s: float) -> float:
    """Read Retry-After: seconds, or a date."""
    if text.isdecimal() and len(text) < 9:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, TypeError):
        return 0.0
