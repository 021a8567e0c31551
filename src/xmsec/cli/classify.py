"""`xmsec classify`: what is sensitive in a text."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from xmsec.classify.text import Entity

EXAMPLE = example("echo 身份证 11010519491231002X | xmsec classify -")
_HEADINGS = ("line", "place", "type", "masked", "grade", "score", "token")


class Form(StrEnum):
    """What a file to classify holds."""

    lines = "lines"
    json = "json"
    csv = "csv"


class Spoken(StrEnum):
    """Whose recognisers and context words are used."""

    zh = "zh"
    en = "en"


def classify(
    path: Annotated[str, typer.Argument(help="A text file, also .gz and .zst; - reads standard input.")],
    form: Annotated[Form, typer.Option("--input", help="What it holds; json and csv come in a later version.")] = Form.lines,
    lang: Annotated[Spoken | None, typer.Option("--lang", help="Of one language alone.", show_default="both")] = None,
    home: Home = None,
    output: Output = None,
) -> None:
    """Say for each line what is sensitive in it: type, place, grade, a mask and a token; never the value."""
    from xmsec.cli.inputs import lines_of
    from xmsec.cli.output import chosen, rows, table
    from xmsec.model.errors import PolicyError

    if form is not Form.lines:
        raise PolicyError(
            f"classify --input {form} is not covered yet",
            where="this version",
            remedy="give its text line by line: --input lines",
        )
    find = _classifier(home, lang)
    said = ((number, find(line.decode("utf-8", "replace"))) for number, line in enumerate(lines_of(path), 1))
    if chosen(output) == "table":
        table(_HEADINGS, (_cells(number, entity) for number, entities in said for entity in entities))
    else:
        rows(({"n": number, "entities": entities} for number, entities in said), output, {})


def _cells(number: int, entity: Entity) -> list[str]:
    place = f"{entity.start}–{entity.end}"
    return [str(number), place, entity.type, entity.masked, entity.grade, f"{entity.score:.2f}", entity.token]


def _classifier(home: Path | None, lang: Spoken | None) -> Callable[[str], list[Entity]]:
    from xmsec.classify.text import line_classifier
    from xmsec.cli.home import content_dirs, key_of, now
    from xmsec.cli.output import remark
    from xmsec.cli.settings import settings
    from xmsec.content.classifiers import load_classifiers

    given = settings(home)
    classifiers, problems = load_classifiers(content_dirs(given))
    for problem in problems:
        remark(f"xmsec: {problem}")
    pen = key_of(given, create=True).pen(now(), now())
    return line_classifier(classifiers, pen, None if lang is None else lang.value, given.home / "cache")
