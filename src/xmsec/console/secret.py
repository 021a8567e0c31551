"""Secrets that are made, and compared by their hash alone; passwords of people."""

from __future__ import annotations

import secrets
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from xmsec.model.errors import ConfigError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 12, 128  # characters of a password (NIST SP 800-63B: length, not composition)


def made() -> str:
    """Return 256 random bits, as they stand in a cookie or a link."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """Return what is kept of a secret: without stretching, because nobody guesses 256 bits."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


@lru_cache(1)
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()  # argon2id as RFC 9106 recommends where memory is small: 64 MiB, three passes


@lru_cache(1)
def _decoy() -> str:
    return _hasher().hash(made())


def of_password(password: str) -> str:
    """Return the argon2id hash of a new password. Raises ConfigError for one that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ConfigError("password-length", remedy=f"{SHORTEST} to {LONGEST} characters")
    return _hasher().hash(password)


def opens(password: str, kept: str | None) -> bool:
    """Whether a password is the one that was kept; an account that is not there costs the same time."""
    from argon2.exceptions import VerificationError

    try:
        return _hasher().verify(kept or _decoy(), password[: LONGEST + 1]) and kept is not None
    except VerificationError:
        return False
