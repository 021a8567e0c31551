r"""Encoded characters become characters, so that no value hides from classification behind an encoding.

Decoded are percent-escapes of UTF-8 (`%E5%BC%A0`), `%u5F20` and `\u5f20` (UTF-16). Decoding is repeated until nothing changes,
so that double and triple encoding survive no better than single; a text that still changes after `ROUNDS` rounds is refused as
`over-encoded`. Bytes that are no UTF-8 (GBK, lone surrogates) become U+FFFD: a value in them is lost, never kept encoded.
"""

from __future__ import annotations

import re
from functools import lru_cache

from xmsec.model.errors import InputError
from xmsec.parse.clean import REPLACEMENT, clean

AGAIN, AGAIN_CHARACTERS = 64, 2048  # texts that are remembered: a URL's path and query stand in its whole too
ROUNDS = 10  # nobody encodes more than three times by mistake; each round shortens what it changes

_UTF16 = r"(?:[%\\]u[0-9a-fA-F]{4})+"
_ESCAPES = re.compile(rf"(?:%[0-9a-fA-F]{{2}})+|{_UTF16}")
_SURE = re.compile(rf"(?:%(?:25)*[0-9a-fA-F]{{2}}){{2,}}|(?:\\x[0-9a-fA-F]{{2}}){{2,}}|{_UTF16}")
_BREAKS = re.compile(r"""([\s"'<>]+)""")
_LINE_ENDS = re.compile(r"[\r\n\t]")  # none of them is legal in a URL: an injected line end must show
_BY_BYTE = {f"%{byte:02{case}}": chr(byte) for case in "xX" for byte in range(128)}


def decoded(text: str) -> str:
    """Decode a URL or a part of one completely. Raises InputError.

    >>> decoded("/%25E5%25BC%25A0")
    '/张'
    """
    return _again(text) if len(text) <= AGAIN_CHARACTERS else _decoded(text)


@lru_cache(AGAIN)
def _again(text: str) -> str:
    return _decoded(text)


def _decoded(text: str) -> str:
    for _ in range(ROUNDS):
        before = text
        text = _ESCAPES.sub(_characters, before) if "%" in before or "\\" in before else before
        if not text.isprintable():
            text = clean(_LINE_ENDS.sub(REPLACEMENT, text))
        elif not text.isascii():
            text = clean(text)
        if text == before or ("%" not in text and "\\" not in text):
            return text
    raise InputError("over-encoded")


def spaced(url: str) -> str:
    """Write the spaces of a URL's query, which HTML forms encode as `+`; before anything is decoded, for `%2B` is a plus.

    >>> spaced("/a+b?q=c+d")
    '/a+b?q=c d'
    """
    path, mark, query = url.partition("?")
    return path + mark + query.replace("+", " ")


def decoded_form(text: str) -> str:
    """Decode a query as HTML forms encode it: `+` is a space.

    >>> decoded_form("name=%E5%BC%A0+%E4%B8%89&phone=%2B86")
    'name=张 三&phone=+86'
    """
    return decoded(text.replace("+", " "))


def decoded_target(text: str) -> str:
    """Decode a URL that may have a query; its `?` is found before anything is decoded.

    >>> decoded_target("/a+b%3F?q=a+b")
    '/a+b??q=a b'
    """
    path, mark, query = spaced(text).partition("?")
    return decoded(path) + mark + decoded(query) if mark else decoded(path)


def decoded_prose(text: str) -> str:
    r"""Decode what is surely encoded in free text: runs of two or more escapes, and URLs and form fields as a whole.

    A lone `%35` elsewhere stays: in `LIKE '%350211%'` it is no escape, and decoding it would hide what follows.

    >>> decoded_prose("name=%E5%BC%A0 at /x?id=3502%3111, like '%350211%'")
    "name=张 at /x?id=3502111, like '%350211%'"
    """
    for _ in range(ROUNDS):
        before = text
        text = clean(_SURE.sub(_characters, before))
        if "%" in text:
            text = "".join(decoded(part) if _like_url(part) else part for part in _BREAKS.split(text))
        if text == before:
            return text
    raise InputError("over-encoded")


def _like_url(part: str) -> bool:
    return "%" in part and (part[0] == "/" or "=" in part or "?" in part or "&" in part or "://" in part)


def _characters(match: re.Match[str]) -> str:
    run = match[0]
    known = _BY_BYTE.get(run)
    if known is not None:
        return known
    if run[1] == "u":
        return bytes.fromhex(run.replace("%u", "").replace("\\u", "")).decode("utf-16-be", "replace")
    if run[0] == "\\":
        return bytes.fromhex(run.replace("\\x", "")).decode("utf-8", "replace")
    plain = re.sub("%(?:25(?=(?:25)*[0-9a-fA-F]{2}))*", "", run) if "%25" in run else run.replace("%", "")
    return bytes.fromhex(plain).decode("utf-8", "replace")
