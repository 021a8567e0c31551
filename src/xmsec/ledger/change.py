"""One revision of the ledger becomes the next: entries are added and replaced by what they are known by, and told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from xmsec.ledger.book import Book
from xmsec.ledger.entries import Entries, Entry, Found, identity, sift
from xmsec.model.errors import ContentError

SECTIONS: tuple[Literal["owners", "datasets", "people", "grants"], ...] = ("owners", "datasets", "people", "grants")


class Change(msgspec.Struct, frozen=True):
    """What became of one entry. key: the part of it that changed ("" when it came or went); before, after: as in the YAML."""

    section: str
    entry: str
    what: Literal["added", "removed", "changed"]
    key: str = ""
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        if self.what != "changed":
            return f"{self.section} {self.entry}: {self.what}"
        return f"{self.section} {self.entry}: {self.key} {self.before or '(nothing)'} → {self.after or '(nothing)'}"


def merge(book: Book, news: Entries) -> tuple[Book, list[ContentError]]:
    """Add entries to a book, each replacing the one it is known by: the next revision.

    The same book when nothing changes, or when anything is wrong: all problems are told, and nothing is taken over. What `news`
    does not name stays: a grant ends by its `end`, not by being left out.
    """
    old = book.entries
    found = Found(
        owners=_over(old.owners, news.owners),
        datasets=_over(old.datasets, news.datasets),
        people=_over(old.people, news.people),
        grants=_over(old.grants, news.grants),
    )
    entries, faults = sift(max(old.as_of, news.as_of), old.revision, found)
    problems = [ContentError(fault.what, where=fault.at, remedy=fault.remedy) for fault in faults]
    if problems or msgspec.structs.replace(entries, as_of=old.as_of) == old:
        return book, problems
    return Book(msgspec.structs.replace(entries, revision=old.revision + 1)), problems


def _over(old: Sequence[Any], news: Sequence[Any]) -> list[tuple[str, Any]]:
    by_name = {identity(entry): entry for entry in old} | {identity(entry): entry for entry in news}
    return [(f"{name} ", entry) for name, entry in by_name.items()]


def diff(before: Entries, after: Entries) -> list[Change]:
    """Say what changed between two revisions: by section, then entry in alphabetical order."""
    return [change for section in SECTIONS for change in _in_section(section, before, after)]


def _in_section(section: str, before: Entries, after: Entries) -> Iterator[Change]:
    old = {identity(entry): entry for entry in getattr(before, section)}
    new = {identity(entry): entry for entry in getattr(after, section)}
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Change(section, name, "removed")
        elif name not in old:
            yield Change(section, name, "added")
        else:
            yield from _in_entry(section, name, old[name], new[name])


def _in_entry(section: str, name: str, before: Entry, after: Entry) -> Iterator[Change]:
    old, new = _flat(msgspec.to_builtins(before)), _flat(msgspec.to_builtins(after))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield Change(section, name, "changed", key, old.get(key, ""), new.get(key, ""))


def _flat(body: dict[str, Any], above: str = "") -> dict[str, str]:
    """Write an entry's parts one by one; a dataset's fields are known by their names."""
    flat: dict[str, str] = {}
    for key, value in body.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{key}.")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            for part in value:
                rest = {name: inner for name, inner in part.items() if name != "name"}
                flat |= _flat(rest, f"{above}{key}.{part['name']}.") or {f"{above}{key}.{part['name']}": "listed"}
        else:
            flat[above + key] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return flat
