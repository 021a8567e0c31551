"""Which rules can hold for an event at all: literals and fields without which they cannot, scanned over a batch at once.

Every rule is given what it needs: literals of which one must occur somewhere in the event (without regard to case), or else
numbers of which a field must hold one, or else fields of which one must be there, or else nothing. Rules with literals wait in
one literal database for the whole set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from xmsec.classify.prefilter import Prefilter
from xmsec.detect.holds import render
from xmsec.detect.terms import All, Exists, Leaf, Node, Not, Null, Number, Text, fields_of, unbound

T = TypeVar("T")

_ENOUGH = 8  # a literal longer than this does not get rarer in practice; among such, fewer is better
_COMMON = frozenset(
    {"get", "post", "http", "http://", "https://", "mozilla/5.0", "true", "false", "success"}
)  # as good as none
_RARE = 3  # shorter ones occur in nearly every event and cost more than they save: 84 hits an event with all SigmaHQ rules


class Need(msgspec.Struct, frozen=True):
    """What must be in an event for a rule to hold: one of the literals, of the numbers, of the fields.

    numbers: pairs of a field and a number; None: nothing can be said.
    """

    literals: frozenset[str] | None = None
    numbers: frozenset[tuple[str, int | float]] | None = None
    fields: frozenset[str] | None = None


def need(node: Node) -> Need:
    """Return what a condition cannot do without.

    >>> sorted(need(Leaf("url.path", (Text((0, "/WP-login.php")), Text(("/xmlrpc.php",))))).literals)
    ['/wp-login.php', '/xmlrpc.php']
    """
    if isinstance(node, Leaf):
        return _leaf(node)
    if isinstance(node, Not):
        return Need()
    parts = [need(part) for part in node.of]
    if isinstance(node, All):
        return Need(
            max((part.literals for part in parts if part.literals), key=rarity, default=None),
            min((part.numbers for part in parts if part.numbers), key=lambda pairs: (len(pairs), sorted(pairs)), default=None),
            min((part.fields for part in parts if part.fields), key=lambda names: (len(names), sorted(names)), default=None),
        )
    return Need(
        _union(part.literals for part in parts), _union(part.numbers for part in parts), _union(part.fields for part in parts)
    )


def _leaf(leaf: Leaf) -> Need:
    found = [_literal(term) if isinstance(term, Text) else "" for term in leaf.terms]
    literals = frozenset(found) if all(found) else None
    absent = any(isinstance(term, Null) or term == Exists(False) for term in leaf.terms)
    if absent or leaf.field is None:
        return Need(literals)
    pairs = [(leaf.field, term.number) for term in leaf.terms if isinstance(term, Number)]
    return Need(literals, frozenset(pairs) if len(pairs) == len(leaf.terms) else None, frozenset({leaf.field}))


def _literal(text: Text) -> str:
    """Return the longest run of characters that the text must contain, or nothing."""
    runs = [run for part in text.parts if isinstance(part, str) for run in part.casefold().split("\0")]
    return max(runs, key=len, default="")


def rarity(literals: frozenset[str]) -> tuple[int, int, list[str]]:
    """Order of sets of literals: how short the commonest is, then how many there are."""
    return (
        min(0 if literal in _COMMON else min(_ENOUGH, len(literal)) for literal in literals),
        -len(literals),
        sorted(literals),
    )


def _union(sets: Iterable[frozenset[T] | None]) -> frozenset[T] | None:
    joined: set[T] = set()
    for items in sets:
        if items is None:
            return None
        joined |= items
    return frozenset(joined)


class Index:
    """Tells, for each event of a batch, which of the rules (by their place in the list) are worth evaluating."""

    def __init__(self, nodes: Sequence[Node], cache: Path | None = None) -> None:
        self.fields = frozenset(field for node in nodes for field in fields_of(node))
        self._every = False  # a word may stand in any field: then all of them are scanned
        self._scanned: set[str] = set()
        self._always: list[int] = []
        self._by_field: dict[str, list[int]] = {}
        self._by_number: dict[str, dict[int | float, list[int]]] = {}
        by_literal: dict[str, list[int]] = {}
        for place, node in enumerate(nodes):
            self._add(place, node, by_literal)
        self._order = sorted(self._scanned)
        literals = sorted(by_literal)
        self._places = [by_literal[literal] for literal in literals]
        self._prefilter = Prefilter([literal.encode("utf-8", "replace") for literal in literals], 0, cache, literal=True)

    def _add(self, place: int, node: Node, by_literal: dict[str, list[int]]) -> None:
        needed = need(node)
        if needed.literals and (rarity(needed.literals)[0] >= _RARE or needed.fields is None):
            self._every = self._every or unbound(node)
            self._scanned |= fields_of(node)
            for literal in needed.literals:
                by_literal.setdefault(literal, []).append(place)
        elif needed.numbers:
            for field, number in needed.numbers:
                self._by_number.setdefault(field, {}).setdefault(number, []).append(place)
        elif needed.fields:
            for field in needed.fields:
                self._by_field.setdefault(field, []).append(place)
        else:
            self._always.append(place)

    def candidates(self, events: Sequence[Mapping[str, Any]]) -> list[set[int]]:
        """Return the places of the rules that may hold, for each event's fields; the others cannot."""
        found = [self._without_literals(event) for event in events]
        if self._places:
            for number, literal in self._prefilter.scan([self._text(event) for event in events]):
                found[number].update(self._places[literal])
        return found

    def _without_literals(self, event: Mapping[str, Any]) -> set[int]:
        found = set(self._always)
        for field in self._by_field.keys() & event.keys():
            found.update(self._by_field[field])
        for field in self._by_number.keys() & event.keys():
            by_number = self._by_number[field]
            value = event[field]
            if type(value) is int:
                found.update(by_number.get(value, ()))
            else:  # a text may write the number in several ways
                found.update(place for places in by_number.values() for place in places)
        return found

    def _text(self, event: Mapping[str, Any]) -> str:
        """Join the values that rules read, as the literals are written: without case."""
        if self._every:
            fields: Iterable[str] = event
        elif len(self._order) <= len(event):
            fields = self._order
        else:
            fields = [field for field in event if field in self._scanned]
        texts: list[str] = []
        for field in fields:
            value = event.get(field)
            if type(value) is str:
                texts.append(value)
            elif value is not None:
                many = value if isinstance(value, list | tuple) else (value,)
                texts += [text for text in map(render, many) if text is not None]
        return "\0".join(texts).casefold()
