"""Identifiers of electronic certificates (GB/T 36904-2018): root OID, type, issuer, serial, version, check character."""

from __future__ import annotations

ROOT = "1.2.156.3005.2."
_VALUES = {character: value for value, character in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")}


def mod_37_36(text: str) -> bool:
    """Whether a string ends with its check character (ISO 7064 MOD 37,36).

    >>> mod_37_36("A12425GABC1234002M"), mod_37_36("A12425GABC1234002L")
    (True, False)
    """
    state = 36
    for character in text[:-1]:
        state = ((state + _VALUES[character]) % 36 or 36) * 2 % 37
    return (state + _VALUES[text[-1]]) % 36 == 1


def certificate_id(text: str) -> bool | None:
    """True when the check character holds; undecided otherwise, since the root alone names an electronic certificate.

    >>> certificate_id("1.2.156.3005.2.1.2.3"), certificate_id("1.2.156.3005.2.A12425.GABC.1234.002.M")
    (False, True)
    """
    parts = text.upper().removeprefix(ROOT).split(".")
    if not text.startswith(ROOT) or len(parts) != 5 or not all(parts):
        return False
    identifier = "".join(parts)
    if not _VALUES.keys() >= set(identifier):
        return False
    return True if mod_37_36(identifier) else None
