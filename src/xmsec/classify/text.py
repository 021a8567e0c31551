"""What is sensitive in a line of text, for people who ask: offsets are those of the line as it was given."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import msgspec

from xmsec.classify.epochs import Pen
from xmsec.classify.recognise import Recognisers
from xmsec.classify.token import masked, tokener
from xmsec.content.classifiers import Classifiers, Language
from xmsec.model.types import Level

UNGRADED: Level = "general-4"  # as the grader: what the table does not know is not taken for harmless
_FORGED = str.maketrans("⟨⟩", "‹›")  # a token in foreign text is none


class Entity(msgspec.Struct, frozen=True):
    """One value in a line, as `xmsec classify --input lines` prints it; the value itself is not in it."""

    type: str
    start: int
    end: int
    score: float
    grade: Level
    masked: str
    token: str
    recogniser: str


def line_classifier(
    classifiers: Classifiers, key: bytes | Pen, language: Language | None = None, cache: Path | None = None
) -> Callable[[str], list[Entity]]:
    """Return the function that says what is sensitive in a line: entities in order, without overlaps, longest first.

    language: whose recognisers and context words are used; None means all. Raises ContentError for content that does not load.
    """
    recognisers = Recognisers(classifiers.recognisers, cache, language)
    token = key.token if isinstance(key, Pen) else tokener(key)

    def classify_line(text: str) -> list[Entity]:
        visible, places = _visible(text.translate(_FORGED) if not text.isascii() else text)
        found, _ = recognisers.find([visible])
        entities: list[Entity] = []
        for hit in found.get(0, ()):
            one = recognisers.content[hit.which]
            canonical = recognisers.canonical(hit, visible)
            grade = classifiers.grades.types.get(one.supported_entity)
            start, end = (hit.start, hit.end) if places is None else (places[hit.start], places[hit.end - 1] + 1)
            entities.append(
                Entity(
                    type=one.supported_entity,
                    start=start,
                    end=end,
                    score=hit.score,
                    grade=UNGRADED if grade is None else grade.level,
                    masked=masked(canonical, one.xmsec.masked.first, one.xmsec.masked.last),
                    token=token(one.canonical_type, canonical),
                    recogniser=one.name,
                )
            )
        return entities

    return classify_line


def _visible(text: str) -> tuple[str, list[int] | None]:
    """Take out invisible characters, which could split a value; and say where each of the others stood, when there were any."""
    if text.isascii() or not any(unicodedata.category(character) == "Cf" for character in text):
        return text, None
    places = [place for place, character in enumerate(text) if unicodedata.category(character) != "Cf"]
    return "".join(text[place] for place in places), places
