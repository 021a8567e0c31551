"""What the engine says of a finding, in the language of who reads: `phrases.*` of the texts, found by their English.

A finding is one record for every reader, so that its reasons are written in one language; only the part that a phrase is for is
compared, or an account that is called `grant` would be translated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from xmsec.console.texts import Text

Part = Literal["what", "value", "usual", "label"]
_NAMES = re.compile(r"\{(\w+)\}")
_SPAN = re.compile(r"(?:\d+[dhms])+")
_UNITS = {"d": "天", "h": "小时", "m": "分钟", "s": "秒"}


class Phrases:
    """Finds the phrase that a text is."""

    def __init__(self, texts: Mapping[str, Text]) -> None:
        found = [(key.removeprefix("phrases."), text) for key, text in texts.items() if key.startswith("phrases.")]
        found.sort(key=lambda pair: (-len(_NAMES.sub("", pair[1].en)), pair[0]))  # what says most by itself goes first
        self._known = [(key.partition("-")[0], _pattern(text.en), text.zh) for key, text in found]

    def say(self, part: Part, text: str, language: str) -> str:
        """Return a part of an explanation; one that is no phrase stays as it is."""
        if language != "zh":
            return text
        for of, pattern, chinese in self._known:
            match = pattern.fullmatch(text) if of == part else None
            if match is not None:
                return chinese.format(**{name: _spoken(value) for name, value in match.groupdict().items()})
        return text


def _pattern(english: str) -> re.Pattern[str]:
    pieces = _NAMES.split(english)
    named = [f"(?P<{piece}>{_SPAN.pattern if piece == 'span' else '.+?'})" for piece in pieces[1::2]]
    return re.compile(
        "".join(re.escape(plain) + group for plain, group in zip(pieces[::2], [*named, ""], strict=True)), re.DOTALL
    )


def _spoken(text: str) -> str:
    """Write a length of time in Chinese.

    >>> _spoken("1h30m"), _spoken("40"), _spoken("10.0.0.1")
    ('1 小时 30 分钟', '40', '10.0.0.1')
    """
    if not _SPAN.fullmatch(text):
        return text
    return " ".join(f"{number} {_UNITS[unit]}" for number, unit in re.findall(r"(\d+)([dhms])", text))
