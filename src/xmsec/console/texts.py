"""What pages say, in Chinese and English: one YAML file an area in `texts/`, `key: {zh: …, en: …}`; `area.key` names a text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec
import yaml

FOLDER = "texts"


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text in both languages."""

    zh: str
    en: str


class Catalogue:
    """All texts. A key that is not there is an error, never an empty place."""

    def __init__(self, texts: Mapping[str, Text]) -> None:
        self.texts = texts

    def say(self, key: str, language: str, **values: object) -> str:
        """Return a text with its `{names}` filled in. Raises KeyError."""
        text: str = getattr(self.texts[key], language)
        return text.format(**values) if values else text

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self.texts


@cache
def catalogue() -> Catalogue:
    """Read every area. Raises msgspec.ValidationError for a text that lacks a language."""
    found: dict[str, Text] = {}
    for entry in sorted(resources.files(__package__).joinpath(FOLDER).iterdir(), key=lambda one: one.name):
        area, _, kind = entry.name.rpartition(".")
        if kind == "yaml":
            texts = msgspec.convert(yaml.safe_load(entry.read_text("utf-8")), dict[str, Text])
            found.update({f"{area}.{key}": text for key, text in texts.items()})
    return Catalogue(found)


def one_language(text: str, language: str) -> str:
    """Return the part of a title `中文 · English` that is in this language; one in a single language stays whole.

    >>> one_language("夜间导出 · Export at night", "en")
    'Export at night'
    """
    chinese, between, english = text.partition(" · ")
    return text if not between else english if language == "en" else chinese
