"""Which rules can hold for an event at all: literals and fields without which they cannot, scanned over a batch at once.

Every rule is given what it needs: literals of which one must occur somewhere in the event (without regard to case), or else
fields of which one must be there, or else nothing. Rules with literals wait in one literal database for the whole set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from xmsec.classify.prefilter import Prefilter
from xmsec.detect.holds import render
from xmsec.detect.terms import All, Exists, Leaf, Node, Not, Null, Text, fields_of, unbound

_ENOUGH = 8  # a literal longer than this does not get rarer in practice; among such, fewer is better
_RARE = 3  # shorter ones occur in nearly every event and cost more than they save: 84 hits an event with all SigmaHQ rules


class Need(msgspec.Struct, frozen=True):
    """What must be in an event for a rule to hold: one of the literals, and one of the fields. None: nothing can be said."""

    literals: frozenset[str] | None = None
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
            max((part.literals for part in parts if part.literals), key=_rarity, default=None),
            min((part.fields for part in parts if part.fields), key=lambda names: (len(names), sorted(names)), default=None),
        )
    return Need(_union(part.literals for part in parts), _union(part.fields for part in parts))


def _leaf(leaf: Leaf) -> Need:
    found = [_literal(term) if isinstance(term, Text) else "" for term in leaf.terms]
    absent = any(isinstance(term, Null) or term == Exists(False) for term in leaf.terms)
    fields = None if absent or leaf.field is None else frozenset({leaf.field})
    return Need(frozenset(found) if all(found) else None, fields)


def _literal(text: Text) -> str:
    """Return the longest run of characters that the text must contain, or nothing."""
    runs = [run for part in text.parts if isinstance(part, str) for run in part.casefold().split("\0")]
    return max(runs, key=len, default="")


def _rarity(literals: frozenset[str]) -> tuple[int, int, list[str]]:
    return min(_ENOUGH, min(map(len, literals))), -len(literals), sorted(literals)


def _union(sets: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    joined: set[str] = set()
    for names in sets:
        if names is None:
            return None
        joined |= names
    return frozenset(joined)


class Index:
    """Tells, for each event of a batch, which of the rules (by their place in the list) are worth evaluating."""

    def __init__(self, nodes: Sequence[Node], cache: Path | None = None) -> None:
        self.fields = frozenset(field for node in nodes for field in fields_of(node))
        self._every = any(unbound(node) for node in nodes)  # a word may stand in any field, so all of them are scanned
        self._always: list[int] = []
        self._by_field: dict[str, list[int]] = {}
        by_literal: dict[str, list[int]] = {}
        for place, node in enumerate(nodes):
            needed = need(node)
            if needed.literals and (min(map(len, needed.literals)) >= _RARE or needed.fields is None):
                for literal in needed.literals:
                    by_literal.setdefault(literal, []).append(place)
            else:
                for field in needed.fields or ():
                    self._by_field.setdefault(field, []).append(place)
                if needed.fields is None:
                    self._always.append(place)
        literals = sorted(by_literal)
        self._places = [by_literal[literal] for literal in literals]
        encoded = [literal.encode("utf-8", "replace") for literal in literals]
        self._prefilter = Prefilter(encoded, 0, cache, literal=True)

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
        return found

    def _text(self, event: Mapping[str, Any]) -> str:
        """Join the values that rules read, as the literals are written: without case."""
        texts: list[str] = []
        for field, value in event.items():
            if self._every or field in self.fields:
                if isinstance(value, str):
                    texts.append(value)
                else:
                    many = value if isinstance(value, list | tuple) else (value,)
                    texts += [text for text in map(render, many) if text is not None]
        return "\0".join(texts).casefold()
