"""Content as it would be, laid over a deployment's road: for recordings, which hold what classify gave.

Of a road only what follows classify is laid anew: rules, detectors, grades, ledger, exceptions. A changed stream or recogniser
shows in what is read from now on, and in no recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from xmsec.classify.grade import grader
from xmsec.content.detectors import DetectorFile
from xmsec.content.load import read
from xmsec.content.recipes import Recipe
from xmsec.detect.kinds.correlation import references
from xmsec.detect.load import Loaded, Place, detectors
from xmsec.findings.exceptions import Exceptions
from xmsec.ledger.book import Book
from xmsec.ledger.change import merge
from xmsec.model.errors import ConfigError, ContentError
from xmsec.model.ports import Ledger
from xmsec.pipeline.road import Road
from xmsec.runtime.contents import Contents

Made = DetectorFile | Recipe


class Trial(msgspec.Struct, frozen=True):
    """A road to carry recordings along, and what of the files that were asked for did not load."""

    road: Road
    problems: Sequence[ContentError]


def whole(base: Road, contents: Contents, place: Place, book: Book) -> Trial:
    """Lay all detectors of the content; ledgers among what was asked for are merged into the book."""
    problems = [one for one in contents.problems if _asked(one, contents)]
    for path in contents.ledgers:
        news, wrong = Book.load(read(path))
        book, unsound = merge(book, news.entries)
        problems += (*wrong, *unsound)
    loaded = detectors(contents.detectors, _with(place, list(contents.recipes.values())))
    problems += (one for one in loaded.problems if _asked(one, contents))
    road = _road(base, contents, loaded, loaded.detectors, book)
    exceptions = Exceptions((one.file for one in contents.exceptions.values()), place.zone)
    return Trial(msgspec.structs.replace(road, exceptions=exceptions), problems)


def alone(base: Road, contents: Contents, place: Place, detector: str) -> tuple[Made, Trial]:
    """Lay one detector, with the rules that it needs. Raises ConfigError when there is none of that id, or no model for it."""
    recipe = next((one for one in contents.recipes.values() if one.id == detector), None)
    file = next((one for one in contents.detectors if detector in (one.id, one.rule)), None)
    made = recipe or file
    if made is None:
        raise ConfigError(f'no detector "{detector}"', where="detectors backtest", remedy="see xmsec detectors list")
    files = _needed(file, contents.detectors) if recipe is None and file is not None else []
    loaded = detectors(files, _with(place, [recipe] if recipe else []))
    wrong = [*(one for one in contents.problems if _asked(one, contents)), *loaded.problems]
    own = {name: one for name, one in loaded.detectors.items() if name == made.id or getattr(file, "type", "") == "sigma"}
    if not own and not wrong:
        raise ConfigError(*(loaded.missing or [f'"{detector}" tells nothing']), where="detectors backtest")
    return made, Trial(_road(base, contents, loaded, own, base.ledger), wrong)


def feeds(made: Made, contents: Contents) -> list[str]:
    """Return the correlations for which a rule is silent in the deployment."""
    if isinstance(made, Recipe) or made.type != "sigma":
        return []
    found = [(file, references(file)) for file in contents.detectors if file.type == "correlation"]
    return [file.id for file, (names, generate) in found if not generate and {made.id, made.rule} & {*names}]


def _needed(file: DetectorFile, files: Sequence[DetectorFile]) -> list[DetectorFile]:
    """Return the files that a detector rests on: coverage speaks of all rules, a correlation of those that it names."""
    if file.type == "coverage":
        return list(files)
    names = {*references(file)[0]} if file.type == "correlation" else set()
    return [file, *(one for one in files if one is not file and names & {one.id, one.rule})]


def _with(place: Place, recipes: Sequence[Recipe]) -> Place:
    return msgspec.structs.replace(place, recipes=recipes)


def _road(base: Road, contents: Contents, loaded: Loaded, made: Mapping[str, Any], ledger: Ledger) -> Road:
    return msgspec.structs.replace(base, grade=grader(contents.grades), matcher=loaded.rules, detectors=made, ledger=ledger)


def _asked(problem: ContentError, contents: Contents) -> bool:
    return any(problem.where.startswith(f"{path}") for path in contents.asked)
