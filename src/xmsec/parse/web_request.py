"""What web logs share: the request line and how it ended, in ECS."""

from __future__ import annotations

import re

from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.percent import spaced

METHODS = frozenset(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PROPFIND"])
VERSIONS = {f"HTTP/{version}": version for version in ("0.9", "1.0", "1.1", "2", "2.0", "3", "3.0")}
METHOD = re.compile(r"[A-Za-z][A-Za-z_-]{0,23}")
OUTCOMES = {f"{status}": (status, "success" if status < 400 else "failure") for status in range(100, 600)}


def put_request(fields: Fields, request: str) -> None:
    """Set method, URL and version from a request line; what is none (TLS bytes, a probe) is kept as `url.original` alone."""
    method, _, target = request.partition(" ")
    rest, _, last = target.rpartition(" ")
    version = VERSIONS.get(last)
    if version is not None:
        fields["http.version"] = version
        target = rest
    if target and (method in METHODS or (version is not None and METHOD.fullmatch(method))):
        fields["http.request.method"] = method
        put_target(fields, target, method)
    elif request and request != "-":
        fields["url.original"] = request


def put_target(fields: Fields, target: str, method: str = "") -> None:
    """Set `url.*` from a request target: an origin's path, an absolute URL (to a proxy), or host and port (CONNECT)."""
    if "+" in target:
        target = spaced(target)
    fields["url.original"] = target
    if target[0] != "/":
        if method == "CONNECT":
            put_host(fields, target)
            return
        target = _put_absolute(fields, target)
    path, mark, query = target.partition("?")
    if path:
        fields["url.path"] = path
    if mark:
        fields["url.query"] = query


def _put_absolute(fields: Fields, target: str) -> str:
    """Set scheme and host of an absolute URL; return its path and query."""
    scheme, found, rest = target.partition("://")
    if not found or not scheme.isalnum():
        return target
    host = re.split(r"[/?]", rest, maxsplit=1)[0]
    fields["url.scheme"] = scheme.lower()
    put_host(fields, host)
    return rest[len(host) :]


def put_host(fields: Fields, host: str) -> None:
    """Set domain, port and user from `user@host:port`."""
    user, at, place = host.rpartition("@")
    if at:
        fields["url.username"] = user.partition(":")[0]  # a password, as everything, stays in url.original for classification
    name, colon, port = place.rpartition(":")
    if colon and port.isascii() and port.isdigit() and len(port) < 6:
        fields["url.port"] = int(port)
        place = name
    if place:
        fields["url.domain"] = place


def put_referrer(fields: Fields, referrer: str) -> None:
    """Set the referrer unless there is none."""
    if referrer and referrer != "-":
        fields["http.request.referrer"] = spaced(referrer) if "+" in referrer else referrer


def put_answer(fields: Fields, status: str, size: str) -> None:
    """Set status code, outcome (below 400 a success) and the body's bytes. Raises InputError."""
    found = OUTCOMES.get(status)
    if found is None:
        raise InputError("no-match")
    fields["http.response.status_code"], fields["event.outcome"] = found
    if size != "-":
        if not size.isdecimal() or len(size) > 18:
            raise InputError("no-match")
        fields["http.response.body.bytes"] = int(size)
