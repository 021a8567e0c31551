"""The ledger of a home under review: what the stream proposes for its next revision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import Lock

import msgspec

from xmsec.content.classifiers import Grades
from xmsec.ledger.book import Book
from xmsec.ledger.review import accept, propose
from xmsec.model.errors import InputError
from xmsec.model.ports import Observer
from xmsec.model.types import Label, Level
from xmsec.runtime.assemble import Read, revise
from xmsec.runtime.reasons import Newest

Place = tuple[str, str, str]  # dataset, field, type


class Proposed(msgspec.Struct, frozen=True):
    """A label that may be taken over. number of seen values in the field were of its type; instead: the type it has now."""

    label: Label
    number: int
    seen: int
    instead: str = ""

    @property
    def place(self) -> Place:
        """What it is known by."""
        return self.label.dataset, self.label.field, self.label.type


class Verdict(msgspec.Struct, frozen=True):
    """What a person decides of a proposal: the grade they give it, and why. instead: the type that they saw in its field."""

    by: str
    grade: Level
    reason: str
    instead: str = ""


class Ledgers:
    """What is read and reviewed.

    book: the newest revision; grades: of types that the ledger does not grade; observer: says what
    the stream observed.
    """

    def __init__(self, home: Path, book: Newest, grades: Grades, observer: Callable[[], Observer]) -> None:
        self.observer, self.book = observer, book
        self._home, self._grades = home, grades
        self._one = Lock()  # the file's own lock does not wait

    def proposals(self, datasets: Sequence[str], now: datetime) -> Mapping[str, Sequence[Proposed]]:
        """Return what is proposed for each of these datasets; nothing of those that the ledger does not know."""
        book, found = self.book(), {name: list[Proposed]() for name in datasets}
        for one in self._proposed(book, datasets, now):
            found[one.label.dataset].append(one)
        return found

    def accept(self, place: Place, verdict: Verdict, now: datetime) -> int:
        """Take a proposal over under a person's name: the next revision. Raises InputError for one that is none any more."""

        def changed(book: Book) -> Read:
            found = next((one for one in self._proposed(book, place[:1], now) if one.place == place), None)
            if found is None or found.instead != verdict.instead:  # somebody else labelled the field in the meantime
                raise InputError("no such proposal any more", where="ledger", remedy="load the page again")
            why = (*found.label.why, verdict.reason)
            made.append(accept(book, msgspec.structs.replace(found.label, grade=verdict.grade, why=why), verdict.by))
            return made[0]

        made: list[Read] = []
        with self._one:
            revision, _, problems = revise(self._home, changed, lambda _: self.book.whole())
            if problems:
                raise problems[0]
            self.book.wrote(made[0][0])
        return revision

    def _proposed(self, book: Book, datasets: Sequence[str], now: datetime) -> list[Proposed]:
        known = [name for name in datasets if book.dataset(name) is not None]
        if not known:
            return []
        counts = self.observer().observed(known)
        seen: dict[tuple[str, str], int] = {}
        for (dataset, field, _), number in counts.items():
            seen[dataset, field] = seen.get((dataset, field), 0) + number
        grades = {name: entry.level for name, entry in self._grades.types.items()}
        labels = propose(book, counts, now, grades)
        types = {(one.dataset, one.field): one.type for name in known for one in book.labels(name)}
        return [
            Proposed(
                one,
                counts[one.dataset, one.field, one.type],
                seen[one.dataset, one.field],
                types.get((one.dataset, one.field), ""),
            )
            for one in labels
        ]
