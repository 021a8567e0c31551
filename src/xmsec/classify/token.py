"""Keyed fingerprints: the same value has the same token in every stream, and nobody without the key can tell it from another.

A token is a pseudonym: who holds the key can enumerate telephone numbers, so the key lives apart from the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from hmac import digest, new

TOKEN = re.compile(r"⟨[A-Z][A-Z0-9_]*:[0-9a-f]{16}⟩")
UNTOKENISED = "⟨UNTOKENISED⟩"  # stands for a field that was replaced whole
CACHED_VALUES = 1 << 15  # about 10 MB; a value that comes again costs a tenth of one HMAC
_CHECK = b"xmsec key check"  # holds no NUL, so it is no canonical form of any type


def fingerprint(key: bytes, canonical_type: str, canonical: str) -> str:
    """Return the first 16 hexadecimal digits of HMAC-SHA-256 over type, NUL, canonical form.

    >>> fingerprint(b"k" * 32, "CN_MOBILE", "13800138000")
    '8624873a1a871241'
    """
    message = f"{canonical_type}\0{canonical}".encode("utf-8", "surrogatepass")
    return digest(key, message, sha256).hex()[:16]


def token(key: bytes, canonical_type: str, canonical: str) -> str:
    """Return the written form of a fingerprint.

    >>> token(b"k" * 32, "CN_MOBILE", "13800138000")
    '⟨CN_MOBILE:8624873a1a871241⟩'
    """
    return f"⟨{canonical_type}:{fingerprint(key, canonical_type, canonical)}⟩"


def tokener(key: bytes) -> Callable[[str, str], str]:
    """Return `token` under one key, remembering a bounded number of values; a new one costs half of what `token` does."""
    keyed = new(key, digestmod=sha256)

    @lru_cache(maxsize=CACHED_VALUES)
    def cached(canonical_type: str, canonical: str) -> str:
        started = keyed.copy()
        started.update(f"{canonical_type}\0{canonical}".encode("utf-8", "surrogatepass"))
        return f"⟨{canonical_type}:{started.hexdigest()[:16]}⟩"

    return cached


def identity(key: bytes, given: str) -> str:
    """Return what stands for a producer's own id of a record: nobody reads it, and it may hold anything."""
    return digest(key, b"xmsec id\0" + given.encode("utf-8", "surrogatepass"), sha256).hex()[:32]


def check_value(key: bytes) -> str:
    """Return what tells one key from another without showing it; stores and recordings keep it.

    >>> check_value(b"k" * 32)
    '62cae75aee5eb7bc'
    """
    return digest(key, _CHECK, sha256).hex()[:16]


def masked(canonical: str, first: int, last: int) -> str:
    """Return a value with nothing readable but its first and last characters.

    >>> masked("350211199003071236", 6, 1)
    '350211***********6'
    """
    if len(canonical) <= first + last:
        return "*" * len(canonical)
    return canonical[:first] + "*" * (len(canonical) - first - last) + canonical[len(canonical) - last :]
