"""What of a batch has to be scanned: every text that is not known to be clean, and whose it is.

The path and the query of a URL are cut from `url.original`: they are looked at when it is known what stands in the whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

from xmsec.classify.epochs import Pen
from xmsec.classify.hit import Hit
from xmsec.classify.part import Part
from xmsec.classify.recognise import Place
from xmsec.classify.typed import Kind, holds
from xmsec.model.types import Fields, Parsed, Span

FIELD_CHARACTERS = 1 << 16  # a longer field is replaced whole, so that nobody chooses how long a scan takes
SMALLEST_NUMBER = 10**6  # no identifier has fewer than seven digits
WHOLE = -1
WHOLE_URL, CUT_FROM_IT = "url.original", ("url.query", "url.path")  # as they stand in it, from its end


class Field(msgspec.Struct, frozen=True):
    """How one field of a stream is scanned. clean: texts of it in which nothing was found; large: long numbers are usual."""

    name: str
    place: Place
    kind: Kind | None
    clean: set[str]
    large: bool = False


Scanned = tuple[str, set[str], Field]  # its name and its clean texts are asked for at every event


class Plan(msgspec.Struct, frozen=True):
    """What is done with a document of these field names.

    fields: those that are scanned; url: a URL and what was cut from it, or nothing; alone: the others; renamed: old name → name
    with tokens; pen: what wrote those, and writes the tokens of the document.
    """

    system: str
    fields: tuple[Scanned, ...]
    alone: tuple[Scanned, ...]
    url: tuple[Field, ...]
    renamed: dict[str, str]
    tokens: tuple[Span, ...]
    pen: Pen


Hits = list[Hit] | None  # None: the text cannot be tokenised
Parts = dict[int, tuple[str, Hits]]  # which item of a list (WHOLE: the value itself) → its text and what was found in it


class Work:
    """The texts of a batch that have to be scanned, and whose they are: (event, field, item of a list).

    parts: the texts that are cut from another one; found: by event and field; remembered: how many more texts are clean.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.places: list[Place] = []
        self.owners: list[tuple[int, Field, int]] = []
        self.parts: dict[int, Part] = {}
        self.found: dict[int, dict[str, Parts]] = {}
        self.remembered = 0

    def gather(self, event: int, parsed: Parsed, plan: Plan, dataset: Field) -> None:
        """Take the texts of a document."""
        fields, add = parsed.fields, self.add
        url = fields[WHOLE_URL] if plan.url else None
        cut = type(url) is str and url not in plan.url[0].clean
        for name, clean, field in plan.alone if cut else plan.fields:
            value = fields[name]
            kind = type(value)
            if kind is str:
                if value not in clean:
                    add(event, field, WHOLE, value)
            elif kind is not int or not (field.large or -SMALLEST_NUMBER < value < SMALLEST_NUMBER):
                self._take(event, field, value)
        if cut:
            self._take_url(event, fields, plan.url)
        for item, name in enumerate(parsed.datasets):
            if name not in dataset.clean:
                add(event, dataset, item, name)

    def add(self, event: int, field: Field, item: int, text: str) -> None:
        """Take a text, unless it is known to be clean, has its field's type, or is too long to be scanned."""
        if text in field.clean:
            return
        if field.kind is not None and holds(field.kind, text):
            field.clean.add(text)
            self.remembered += 1
        elif len(text) > FIELD_CHARACTERS:
            self.note(event, field, item, text, None)
        else:
            self._append(event, field, item, text)

    def note(self, event: int, field: Field, item: int, text: str, hits: Hits) -> None:
        """Keep what was found."""
        by_field = self.found.get(event)
        if by_field is None:
            by_field = self.found[event] = {}
        if field.name in by_field:
            by_field[field.name][item] = (text, hits)
        else:
            by_field[field.name] = {item: (text, hits)}

    def _append(self, event: int, field: Field, item: int, text: str) -> None:
        self.texts.append(text)
        self.places.append(field.place)
        self.owners.append((event, field, item))

    def _take(self, event: int, field: Field, value: Any) -> None:
        """Take a value that may be no text."""
        kind = type(value)
        if kind is int or kind is float:
            if not -SMALLEST_NUMBER < value < SMALLEST_NUMBER and not field.large:
                self.add(event, field, WHOLE, text_of(value))
        elif kind is list:
            for item, one in enumerate(value):
                if one is not None and type(one) is not bool:
                    self.add(event, field, item, text_of(one))
        elif value is not None and kind is not bool:
            self.add(event, field, WHOLE, text_of(value))

    def _take_url(self, event: int, fields: Fields, url: tuple[Field, ...]) -> None:
        """Take a URL that is not known to be clean, and its parts, clean for themselves or not: the whole may show more."""
        text, whole = fields[WHOLE_URL], len(self.texts)
        self.add(event, url[0], WHOLE, text)
        end = len(text) if len(self.texts) > whole else -1
        for field in url[1:]:
            part = fields[field.name]
            start = end - len(part) if type(part) is str else -1
            if start >= 0 and text.startswith(part, start):
                self.parts[len(self.texts)] = Part(whole, start, part in field.clean)
                self._append(event, field, WHOLE, part)
                end = start - 1
            else:
                self._take(event, field, part)


def text_of(value: Any) -> str:
    r"""Return the text of a field's value, to which its spans' offsets refer; a list is its items, joined by line feeds.

    >>> text_of([1, "a"])
    '1\na'
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(map(text_of, value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value) if isinstance(value, int | float) else msgspec.json.encode(value).decode()
