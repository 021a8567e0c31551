"""What a value makes true: each part of a rule that looks at one field is judged once for each distinct value of that field.

Logs repeat themselves (methods, status codes, user agents, pages), so most values of an event were judged before, and what they
make true is one look-up. Values that are new in a batch are looked at together: one scan for the literals of all parts says
which of these can hold, and only those are evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from xmsec.classify.prefilter import Prefilter
from xmsec.detect.holds import View, holds, render
from xmsec.detect.terms import Compared, Exists, Leaf, Null, Number, Text, Truth

REMEMBERED = 1 << 16  # values, of all fields together; at most 32 MiB of text, and flat
REMEMBERED_CHARACTERS = 512  # a longer value seldom comes again
PLAIN = frozenset((str, int, type(None)))  # types whose equal values are the same to a rule; 1, 1.0 and True are not

_VALUE = "value"  # a judged part sees one value, under this name
_NOTHING: tuple[int, ...] = ()
Held = tuple[int, ...]  # the places of the parts that hold, in their order


def judged(leaf: Leaf) -> bool:
    """Whether one value is enough to say if a part holds, at little cost: no expression, network, time or other field.

    A part without a field holds when one value of the event does it, so its absence cannot be asked for.
    """
    kinds: tuple[type, ...] = (Text, Number, Truth, Compared)
    if leaf.field is not None:
        kinds = (*kinds, Null, Exists)
    return all(isinstance(term, kinds) for term in leaf.terms)


def literal_of(text: Text) -> str:
    """Return the longest run of characters, without case, that a text must contain, or nothing."""
    runs = [run for part in text.parts if isinstance(part, str) for run in part.casefold().split("\0")]
    return max(runs, key=len, default="")


def literals_of(leaf: Leaf) -> list[str]:
    """Return literals of which a value must contain one for a part to hold; none when nothing can be said."""
    found = [literal_of(term) if isinstance(term, Text) else "" for term in leaf.terms]
    return found if all(found) else []


class Column:
    """One field's judged parts. known: value → what it makes true, None stands for an absent field; asked: values to judge."""

    __slots__ = ("asked", "known", "rest", "scanned")

    def __init__(self) -> None:
        self.known: dict[Any, Held] = {}
        self.asked: dict[Any, None] = {}
        self.rest: list[int] = []  # parts that no literal announces: tried at every new value
        self.scanned = False


class Judge:
    """Judges values by the parts of a rule set, which have their places in `leaves`; what it remembers changes no result."""

    def __init__(self, leaves: Sequence[Leaf], cache: Path | None = None) -> None:
        self._holds = [holds(Leaf(_VALUE, leaf.terms)) for leaf in leaves]
        self.columns: dict[str | None, Column] = {}  # None: parts that look at every field
        by_literal: dict[str, dict[Column, list[int]]] = {}
        for place, leaf in enumerate(leaves):
            column = self.columns.setdefault(leaf.field, Column())
            literals = literals_of(leaf)
            if not literals:
                column.rest.append(place)
            for literal in literals:
                by_literal.setdefault(literal, {}).setdefault(column, []).append(place)
                column.scanned = True
        literals = sorted(by_literal)
        self._waiting = [by_literal[literal] for literal in literals]
        self._prefilter = Prefilter([literal.encode("utf-8", "replace") for literal in literals], 0, cache, literal=True)
        self._same: dict[Held, Held] = {}
        self._passing: list[tuple[Column, Any]] = []
        self._remembered = 0
        self.forget()

    def forget(self) -> None:
        """Forget all values."""
        self._same.clear()
        self._remembered = 0
        for name, column in self.columns.items():
            column.known.clear()
            column.known[None] = _NOTHING if name is None else self._hold(column.rest, View({}))

    @property
    def full(self) -> bool:
        """Whether it is time to forget."""
        return self._remembered > REMEMBERED

    def ask(self, column: Column, value: Any) -> Held | None:
        """Return what a value makes true that is not known yet; None when it will be known after `answer`."""
        if type(value) in PLAIN:
            column.asked[value] = None
            return None
        return self._judge([column], [value])[0]

    def answer(self) -> None:
        """Judge all that was asked since."""
        columns: list[Column] = []
        values: list[Any] = []
        for column in self.columns.values():
            columns += [column] * len(column.asked)
            values += column.asked
            column.asked.clear()
        for column, value, found in zip(columns, values, self._judge(columns, values), strict=True):
            column.known[value] = found
            if type(value) is str and len(value) > REMEMBERED_CHARACTERS:
                self._passing.append((column, value))
        self._remembered += len(values)

    def pass_by(self) -> None:
        """Forget the long values of a batch that is done."""
        for column, value in self._passing:
            column.known.pop(value, None)
        self._passing.clear()

    def _judge(self, columns: Sequence[Column], values: Sequence[Any]) -> list[Held]:
        scanned = [at for at, column in enumerate(columns) if column.scanned]
        tried: dict[int, list[int]] = {}
        for number, literal in self._prefilter.scan([_text(values[at]) for at in scanned]):
            at = scanned[number]
            waiting = self._waiting[literal].get(columns[at])
            if waiting is not None:
                tried.setdefault(at, []).extend(waiting)
        return [
            self._hold((*column.rest, *tried.get(at, ())), View({_VALUE: value})) if column.rest or at in tried else _NOTHING
            for at, (column, value) in enumerate(zip(columns, values, strict=True))
        ]

    def _hold(self, places: Iterable[int], view: View) -> Held:
        found = tuple(sorted({place for place in places if self._holds[place](view)}))
        return self._same.setdefault(found, found)


def _text(value: Any) -> str:
    """Write a value as literals are written: without case, a list's items apart."""
    if type(value) is str:
        return value.casefold()
    many = value if isinstance(value, list | tuple) else (value,)
    return "\0".join(text for text in map(render, many) if text is not None).casefold()
