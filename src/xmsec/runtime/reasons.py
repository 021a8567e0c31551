"""Why a finding has its grade: the types that were found in its records, and what the ledger says of its datasets' fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from xmsec.content.classifiers import Grades
from xmsec.ledger.book import Book
from xmsec.ledger.label import WHOLE
from xmsec.model.types import LEVELS, Level
from xmsec.runtime.assemble import Read, current_ledger, revision_of

MOST = 24  # reasons that are told, the gravest first


class Reason(msgspec.Struct, frozen=True, order=True):
    """One judgement. dataset, field: whose label it is, both empty for what was found in records; why: as content says it."""

    rank: int
    dataset: str
    field: str
    type: str
    level: Level
    why: str


class Newest:
    """The newest revision of a home's ledger, read when there is a newer one."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._read: tuple[Path | None, Read] | None = None

    def __call__(self) -> Book:
        """Return it."""
        return self.whole()[0]

    def whole(self) -> Read:
        """Return it with what is wrong with it."""
        newest, read = max((self._home / "ledger").glob("*.yaml"), default=None), self._read
        if read is None or read[0] != newest:
            read = self._read = (newest, current_ledger(self._home))
        return read[1]

    def wrote(self, book: Book) -> None:
        """Know what was written as the newest revision without reading it."""
        self._read = (revision_of(self._home, book.revision), (book, []))


class Reasons:
    """Answers by the grades of the content and the ledger."""

    def __init__(self, grades: Grades, book: Callable[[], Book]) -> None:
        self._grades, self._book = grades, book

    def __call__(self, types: Sequence[str], datasets: Sequence[str]) -> Sequence[Reason]:
        """Return the reasons of a finding with these types and datasets, the gravest first."""
        return sorted([*self._found(types), *self._labelled(datasets)])[:MOST]

    def _found(self, types: Sequence[str]) -> Iterator[Reason]:
        for name in types:
            entry = self._grades.types.get(name)
            if entry is not None:
                yield Reason(_rank(entry.level), "", "", name, entry.level, entry.why)

    def _labelled(self, datasets: Sequence[str]) -> Iterator[Reason]:
        for dataset in datasets:
            for label in self._book().labels(dataset):
                if label.field != WHOLE:
                    yield Reason(_rank(label.grade), dataset, label.field, label.type, label.grade, "; ".join(label.why))


def _rank(level: Level) -> int:
    return -LEVELS.index(level)
