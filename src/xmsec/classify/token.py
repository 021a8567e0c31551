"""Keyed fingerprints: the same value has the same token in every stream, and nobody without the key can tell it from another.

A token is a pseudonym: who holds the key can enumerate telephone numbers, so the key lives apart from the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import new as hashed
from hmac import digest, new
from typing import Literal

Hash = Literal["hmac-sha256", "hmac-sm3"]
HASHES: tuple[Hash, ...] = ("hmac-sha256", "hmac-sm3")
SHA256: Hash = "hmac-sha256"

TOKEN = re.compile(r"⟨[A-Z][A-Z0-9_]*:[0-9a-f]{16}⟩")
UNTOKENISED = "⟨UNTOKENISED⟩"  # stands for a field that was replaced whole
CACHED_VALUES = 1 << 15  # about 10 MB; a value that comes again costs a tenth of one HMAC
_ABC: dict[Hash, str] = {"hmac-sha256": "ba7816bf8f01cfea", "hmac-sm3": "66c7f0f462eeedd9"}  # of "abc": FIPS 180-4, GB/T 32905
_CHECK = b"xmsec key check"  # holds no NUL, so it is no canonical form of any type


def fingerprint(key: bytes, canonical_type: str, canonical: str, how: Hash = SHA256) -> str:
    """Return the first 16 hexadecimal digits of the keyed hash over type, NUL, canonical form.

    >>> fingerprint(b"k" * 32, "CN_MOBILE", "13800138000")
    '8624873a1a871241'
    """
    return digest(key, _message(canonical_type, canonical), _name(how)).hex()[:16]


def token(key: bytes, canonical_type: str, canonical: str, how: Hash = SHA256) -> str:
    """Return the written form of a fingerprint.

    >>> token(b"k" * 32, "CN_MOBILE", "13800138000")
    '⟨CN_MOBILE:8624873a1a871241⟩'
    """
    return f"⟨{canonical_type}:{fingerprint(key, canonical_type, canonical, how)}⟩"


def tokener(key: bytes, how: Hash = SHA256) -> Callable[[str, str], str]:
    """Return `token` under one key, remembering a bounded number of values; a new one costs less than what `token` does."""
    keyed = new(key, digestmod=_name(how))

    @lru_cache(maxsize=CACHED_VALUES)
    def cached(canonical_type: str, canonical: str) -> str:
        started = keyed.copy()
        started.update(_message(canonical_type, canonical))
        return f"⟨{canonical_type}:{started.hexdigest()[:16]}⟩"

    return cached


def identity(key: bytes, given: str, how: Hash = SHA256) -> str:
    """Return what stands for a producer's own id of a record: nobody reads it, and it may hold anything."""
    return digest(key, b"xmsec id\0" + given.encode("utf-8", "surrogatepass"), _name(how)).hex()[:32]


def signature(key: bytes, message: bytes, how: Hash = SHA256) -> bytes:
    """Return what shows that whoever holds the key wrote a message; no token and no identity is made so."""
    return digest(key, b"xmsec control\0" + message, _name(how))


def check_value(key: bytes, how: Hash = SHA256) -> str:
    """Return what tells one key and hash from another without showing the key; stores and recordings keep it.

    >>> check_value(b"k" * 32)
    '62cae75aee5eb7bc'
    >>> check_value(b"k" * 32, "hmac-sm3")
    'sm3:cbcf1688c9a5f296'
    """
    value = digest(key, _CHECK, _name(how)).hex()[:16]
    return value if how == SHA256 else f"{_name(how)}:{value}"


def computable(how: Hash) -> bool:
    """Whether this interpreter's OpenSSL computes a hash: builds without SM3 do not, nor does one in FIPS mode."""
    try:
        return hashed(_name(how), b"abc").hexdigest().startswith(_ABC[how])
    except ValueError:
        return False


def _name(how: Hash) -> str:
    return how.removeprefix("hmac-")


def _message(canonical_type: str, canonical: str) -> bytes:
    return f"{canonical_type}\0{canonical}".encode("utf-8", "surrogatepass")


def masked(canonical: str, first: int, last: int) -> str:
    """Return a value with nothing readable but its first and last characters.

    >>> masked("350211199003071236", 6, 1)
    '350211***********6'
    """
    if len(canonical) <= first + last:
        return "*" * len(canonical)
    return canonical[:first] + "*" * (len(canonical) - first - last) + canonical[len(canonical) - last :]
