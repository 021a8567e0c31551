"""Wildcards of content files: `*` is any text, `?` one character; of several one suffices."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Test = Callable[[str], bool]


def any_of(texts: Sequence[str]) -> Test:
    """Make the test whether a text is one of these, or like one of them.

    >>> any_of(["backup-*", "root"])("backup-7")
    True
    """
    exact = frozenset(text for text in texts if "*" not in text and "?" not in text)
    wild = [_expression(text) for text in texts if text not in exact]
    if not wild:
        return exact.__contains__
    match = re.compile("|".join(wild), re.DOTALL).fullmatch
    return lambda value: value in exact or match(value) is not None


def _expression(wildcard: str) -> str:
    """Translate `*` and `?`; each part is sought once, leftmost, so that a long value costs one pass a part."""
    head, *parts = (re.escape(part).replace(r"\?", ".") for part in re.sub(r"\*+", "*", wildcard).split("*"))
    if not parts:
        return head
    return head + "".join(f"(?>.*?{part})" for part in parts[:-1]) + f".*{parts[-1]}"
