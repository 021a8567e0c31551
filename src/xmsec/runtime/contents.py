"""Content files with their places, for commands that judge content: what deployments load, and files that lie elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from xmsec.content.classifiers import GRADES_FILE, Grades, Recogniser, Title, load_grades, load_recognisers
from xmsec.content.detectors import MODELS, TESTS, DetectorFile, load_detector_paths
from xmsec.content.exceptions import FOLDER as EXCEPTIONS
from xmsec.content.exceptions import Placed, exception_of
from xmsec.content.load import FOLDERS, Document, files, load_each, read
from xmsec.content.notify import Destination, destination_of
from xmsec.content.recipes import Recipe, recipe_of
from xmsec.content.scenarios import load_scenario
from xmsec.content.streams import Stream, load_stream
from xmsec.model.errors import ConfigError, ContentError
from xmsec.respond.playbook import load_playbook

T = TypeVar("T")

SUFFIXES = (".yaml", ".yml", ".json")
_UNKNOWN = Grades(Title("无", "none"))


class Contents(msgspec.Struct, frozen=True):
    """All content there is, by file, and which of its files were asked for; ledgers: those of them that no test reads."""

    streams: Mapping[Path, Stream]
    recognisers: Mapping[Path, Sequence[Recogniser]]
    grades: Grades
    detectors: Sequence[DetectorFile]
    recipes: Mapping[Path, Recipe]
    playbooks: frozenset[str]
    destinations: Mapping[Path, Destination]
    problems: Sequence[ContentError]
    asked: frozenset[Path]
    ledgers: Sequence[Path] = ()
    exceptions: Mapping[Path, Placed] = {}

    @property
    def streams_by_id(self) -> dict[str, Stream]:
        """Every stream by its id."""
        return {stream.id: stream for stream in self.streams.values()}


def gather(dirs: Sequence[Path], paths: Sequence[Path] = (), home: Path | None = None) -> Contents:
    """Load content directories and the files below `paths`, which are what is asked for; without paths all is.

    home: where exceptions may lie besides.

    A file outside of the directories stands in the place of the one inside that has its id. Raises ConfigError for a path
    that does not exist.
    """
    inside = {path: folder for folder in FOLDERS for path in files(dirs, folder, SUFFIXES)}
    inside |= dict.fromkeys(files([*dirs, *([home] if home else [])], EXCEPTIONS), EXCEPTIONS)
    found = _below(paths)
    own = {path.resolve(): path for path in inside}
    outside = {path: _kind(path) for path in found if path.resolve() not in own}
    loading = _Loading(inside, outside)
    grades = loading.each("classifiers", load_grades, lambda path: path.name == GRADES_FILE)
    streams = loading.each("streams", load_stream)
    recognisers = loading.each("classifiers", load_recognisers, lambda path: path.name != GRADES_FILE)
    recipes = loading.each("detectors", recipe_of, _is_recipe)
    playbooks = loading.each("playbooks", load_playbook, lambda path: path.suffix == ".json")
    destinations = loading.each("notify", destination_of)
    loading.each("scenarios", load_scenario)
    exceptions = loading.each(EXCEPTIONS, exception_of)
    asked = [own.get(path.resolve(), path) for path in found] if paths else [*inside]
    return Contents(
        streams=_last(streams, lambda stream: stream.id),
        recognisers=_distinct(recognisers, outside, loading.problems),
        grades=[*grades.values(), _UNKNOWN][0],
        detectors=loading.detectors(),
        recipes=_last(recipes, lambda recipe: recipe.id),
        playbooks=frozenset(playbook.id for playbook in playbooks.values()),
        destinations=_last(destinations, lambda one: one.id),
        problems=loading.problems,
        asked=frozenset(asked),
        ledgers=[path for path, kind in outside.items() if kind == "ledger" and path.parent.name != TESTS],
        exceptions=_last(exceptions, lambda one: one.file.id),
    )


class _Loading:
    """Loads kind after kind, files from outside first, and gathers what is wrong."""

    def __init__(self, inside: Mapping[Path, str], outside: Mapping[Path, str]) -> None:
        self._inside, self._outside = inside, outside
        self.problems: list[ContentError] = []

    def each(
        self, kind: str, loader: Callable[[Document], T], belongs: Callable[[Path], bool] = lambda _: True
    ) -> dict[Path, T]:
        """Load the files of a kind, by path."""
        places = [path for place in (self._outside, self._inside) for path, of in place.items() if of == kind and belongs(path)]
        good, problems = load_each(places, lambda document: (document.path, loader(document)))
        self.problems += problems
        return dict(good)

    def detectors(self) -> list[DetectorFile]:
        """Load detectors; of two with one id the one from outside is meant."""
        own, problems = load_detector_paths(path for path, of in self._outside.items() if of == "detectors" and _is_rule(path))
        shipped, wrong = load_detector_paths(path for path, of in self._inside.items() if of == "detectors" and _is_rule(path))
        self.problems += (*problems, *wrong)
        taken = {name for file in own for name in (file.id, file.rule)}
        return [*own, *(file for file in shipped if not taken & {file.id, file.rule})]


def _last(by_path: Mapping[Path, T], name: Callable[[T], str]) -> dict[Path, T]:
    """Keep the first of those that have one name."""
    first: dict[str, Path] = {}
    for path, one in by_path.items():
        first.setdefault(name(one), path)
    return {path: by_path[path] for path in first.values()}


def _distinct(
    by_path: Mapping[Path, Sequence[Recogniser]], outside: Iterable[Path], problems: list[ContentError]
) -> dict[Path, list[Recogniser]]:
    """Keep the first recogniser of each name; two inside the content are a problem."""
    first: dict[str, Path] = {}
    kept: dict[Path, list[Recogniser]] = {}
    for path, several in by_path.items():
        for one in several:
            if one.name in first and first[one.name] not in outside:
                problems.append(ContentError(f'recogniser "{one.name}" stands twice', where=str(path), remedy="rename one"))
            if first.setdefault(one.name, path) == path:
                kept.setdefault(path, []).append(one)
    return kept


def _is_recipe(path: Path) -> bool:
    return path.parent.name == MODELS


def _is_rule(path: Path) -> bool:
    return path.parent.name not in (MODELS, TESTS) and path.suffix != ".json"


def _below(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ConfigError("no such file or folder", where=str(path), remedy="check the path")
        inner = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES and one.is_file())
        found += inner if path.is_dir() else [path]
    return list(dict.fromkeys(found))


# what a file from outside holds, by keys that only its kind has; a ledger lies beside the tests that read it
_KEYS = (
    ("recognizers", "classifiers"),
    ("combinations", "classifiers"),
    ("samples", "streams"),
    ("behaviours", "scenarios"),
    ("workflow", "playbooks"),
    ("expires", EXCEPTIONS),
    ("as_of", "ledger"),
    ("channel", "notify"),
)


def _kind(path: Path) -> str:
    """Return the folder in which a file would lie; what cannot be told is a detector, whose loader says what is wrong."""
    try:
        body: Any = read(path).body
    except ContentError:
        return "detectors"
    held = body if isinstance(body, dict) else {}
    return next((kind for key, kind in _KEYS if key in held), "detectors")
