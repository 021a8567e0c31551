r"""What no field may hold: control and invisible characters, and the brackets that make a token.

A line feed or tab becomes a space, any other control character U+FFFD; invisible characters (zero-width, direction marks,
tags), which could split a value so that no recogniser sees it, are taken out; ⟨ and ⟩ become ‹ and ›, so that nobody can forge
a token.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
BOM = b"\xef\xbb\xbf"

_REPLACED = "\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufff9-\ufffb\ufffe\uffff"
_SPACES = "\t\n\x0b\x0c\r\u2028\u2029"
_INVISIBLE = "\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff"
_UNCLEAN = re.compile(f"[{_REPLACED}{_SPACES}{_INVISIBLE}⟨⟩]")
_ONE = re.compile(f"(?P<space>[{_SPACES}])|(?P<open>⟨)|(?P<close>⟩)|(?P<control>[{_REPLACED}])|[{_INVISIBLE}]")
_BY_KIND = {"space": " ", "open": "‹", "close": "›", "control": REPLACEMENT, None: ""}
NEEDS_CARE = bytes(range(32)) + b"\x7f%\\"  # in ASCII only these can make a field unclean or encoded


def clean(text: str) -> str:
    r"""Return the text without what no field may hold; the same object when it is clean.

    >>> clean("1\u200b38\x00 ⟨CN_MOBILE:00⟩")
    '138\ufffd ‹CN_MOBILE:00›'
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\n", " ").replace("\t", " ")  # SQL of many lines: a ninth of what a match each costs
    if _UNCLEAN.search(text) is None:
        return text
    return _ONE.sub(lambda match: _BY_KIND[match.lastgroup], text)
