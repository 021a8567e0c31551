"""Which rules can hold for an event at all: literals and fields without which they cannot, scanned over a batch at once.

Every rule is given what it needs: literals of which one must occur somewhere in the event (without regard to case), or else
fields of which one must be there, or else nothing. Rules with literals wait in one literal database for the whole set.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from itertools import accumulate
from os import getpid
from pathlib import Path
from typing import Any

import hyperscan
import msgspec

from xmsec.detect.holds import render
from xmsec.detect.terms import All, Exists, Leaf, Node, Not, Null, Text, fields_of, unbound

_ENOUGH = 8  # a literal longer than this does not get rarer in practice; among such, fewer is better
_GAP = b"\x00\x00"  # between values and events; no literal holds a NUL


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
            for literal in needed.literals or ():
                by_literal.setdefault(literal, []).append(place)
            if needed.literals is None:
                for field in needed.fields or ():
                    self._by_field.setdefault(field, []).append(place)
                if needed.fields is None:
                    self._always.append(place)
        literals = sorted(by_literal)
        self._places = [by_literal[literal] for literal in literals]
        self._database = _database([literal.encode("utf-8", "surrogatepass") for literal in literals], cache)

    def candidates(self, events: Sequence[Mapping[str, Any]]) -> list[set[int]]:
        """Return the places of the rules that may hold, for each event's fields; the others cannot."""
        found = [self._without_literals(event) for event in events]
        if self._database is None or not events:
            return found
        texts = [self._text(event) for event in events]
        ends = list(accumulate(len(text) + len(_GAP) for text in texts))
        for identifier, to in self._hits(_GAP.join(texts)):
            found[bisect_right(ends, to - 1)].update(self._places[identifier])
        return found

    def _without_literals(self, event: Mapping[str, Any]) -> set[int]:
        found = set(self._always)
        for field in self._by_field.keys() & event.keys():
            found.update(self._by_field[field])
        return found

    def _text(self, event: Mapping[str, Any]) -> bytes:
        """Join the values that rules read, as the literals are written: without case."""
        texts: list[str] = []
        for field, value in event.items():
            if self._every or field in self.fields:
                if isinstance(value, str):
                    texts.append(value)
                else:
                    many = value if isinstance(value, list | tuple) else (value,)
                    texts += [text for text in map(render, many) if text is not None]
        return "\0\0".join(texts).casefold().encode("utf-8", "surrogatepass")

    def _hits(self, text: bytes) -> list[tuple[int, int]]:
        """Return which literals end where."""
        hits: list[tuple[int, int]] = []

        def take(identifier: int, _start: int, to: int, _flags: int, _context: object) -> None:
            hits.append((identifier, to))

        self._database.scan(text, match_event_handler=take)
        return hits


def _database(literals: Sequence[bytes], cache: Path | None) -> Any:
    """Build the literal database, or take it from the cache: 25,000 literals take a second to compile and 5 ms to read."""
    if not literals:
        return None
    name = blake2b(b"\0".join((version("hyperscan").encode(), *literals)), digest_size=16).hexdigest()
    path = cache / f"atoms-{name}.hs" if cache is not None else None
    stored = _stored(path)
    if stored is not None:
        return stored
    database = hyperscan.Database()
    database.compile(list(literals), ids=list(range(len(literals))), elements=len(literals), flags=0, literal=True)
    if path is not None:
        write_whole(path, hyperscan.dumpb(database))
    return database


def _stored(path: Path | None) -> Any:
    content = read_whole(path)
    if content is None:
        return None
    try:
        database = hyperscan.loadb(content, hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
    except hyperscan.HyperscanError:  # made by another version or for another processor
        return None
    return database


def write_whole(path: Path, content: bytes) -> None:
    """Write a cache file under its own hash, by rename, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{getpid()}")
    part.write_bytes(blake2b(content, digest_size=16).digest() + content)
    part.replace(path)


def read_whole(path: Path | None) -> bytes | None:
    """Read a cache file; None when there is none, or when its bytes are not those that were written."""
    if path is None or not path.is_file():
        return None
    content = path.read_bytes()
    return content[16:] if blake2b(content[16:], digest_size=16).digest() == content[:16] else None
