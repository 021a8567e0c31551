"""Secrets that carry their own form: JSON Web Tokens (RFC 7519)."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error
from json import loads


def jwt(text: str) -> bool | None:
    """True when the first part is the base64 of a JSON object that names an algorithm; refuted otherwise.

    >>> jwt("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"), jwt("eyJhbGciOiJI.x.y")
    (True, False)
    """
    head = text.partition(".")[0]
    try:
        header = loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header
