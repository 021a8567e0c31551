"""Canonical forms: however a value is written, its token is the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from xmsec.classify.validators.digits import bare
from xmsec.classify.validators.ip import parsed
from xmsec.classify.validators.mobile import national
from xmsec.classify.validators.plate import plate_characters
from xmsec.classify.validators.resident_id import upgraded

# full-width forms, and the hyphens and spaces that people type for one another: one character each, so offsets stay
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_HYPHENS = dict.fromkeys((*range(0x2010, 0x2016), 0x2212), ord("-"))
_SPACES = dict.fromkeys((0xA0, 0x3000, 0x202F, 0x205F, *range(0x2000, 0x200C)), ord(" "))
_ONE_FOR_ONE = {**_WIDE, **_HYPHENS, **_SPACES}


def normal(text: str) -> str:
    """Return a text with full-width characters, hyphens and spaces in their ASCII form; every offset stays where it was.

    >>> normal("手机１３８－００１３"), len(normal("１３８")) == 3
    ('手机138-0013', True)
    """
    return text if text.isascii() else text.translate(_ONE_FOR_ONE)


def address(text: str) -> str:
    """Return an Internet address in its shortest form.

    >>> address("2001:0DB8:0::1")
    '2001:db8::1'
    """
    return str(parsed(text) or text)


def hardware(text: str) -> str:
    """Return a hardware address in upper case with colons.

    >>> hardware("d0-50-99-84-a2-a0")
    'D0:50:99:84:A2:A0'
    """
    return text.replace("-", ":").upper()


def exact(text: str) -> str:
    """Return a secret as it is.

    >>> exact("aB")
    'aB'
    """
    return text


def name(text: str) -> str:
    """Return a name without the differences of its written form (NFKC).

    >>> name("Ｌｉ")
    'Li'
    """
    return unicodedata.normalize("NFKC", text).strip()


CANONICAL: dict[str, Callable[[str], str]] = {
    "address": address,
    "exact": exact,
    "hardware": hardware,
    "identifier": bare,
    "lower": str.lower,
    "mobile": national,
    "name": name,
    "plate": plate_characters,
    "resident_id": upgraded,
}
