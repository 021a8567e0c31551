"""When a condition holds for an event: terms become small functions over one event's values."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from ipaddress import ip_address, ip_network
from operator import ge, gt, le, lt, ne
from typing import Any

from xmsec.detect.terms import (
    MANY,
    All,
    Compared,
    Either,
    Exists,
    Leaf,
    Network,
    Node,
    Not,
    Null,
    Number,
    Part,
    Pattern,
    Reference,
    Term,
    Text,
    Truth,
)

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?")  # bounded: int() of a long text is slow
_OPERATORS = {"lt": lt, "lte": le, "gt": gt, "gte": ge, "neq": ne}
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}


class View:
    """One event as conditions read it: values as lists, texts with and without case, each made once."""

    __slots__ = ("_folded", "fields")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self._folded: dict[str | None, tuple[str, ...]] = {}

    def values(self, field: str | None) -> Sequence[Any]:
        """Return the values of a field (of all fields, without one); none when it is absent."""
        if field is None:
            return [value for name in self.fields for value in self.values(name)]
        value = self.fields.get(field)
        if value is None:
            return ()
        return value if isinstance(value, list | tuple) else (value,)

    def texts(self, field: str | None) -> list[str]:
        """Return the values of a field as texts."""
        return [text for text in map(render, self.values(field)) if text is not None]

    def folded(self, field: str | None) -> tuple[str, ...]:
        """Return the texts of a field without regard to case."""
        found = self._folded.get(field)
        if found is None:
            value = self.fields.get(field) if field is not None else None
            alone = type(value) is str  # the usual case, spelled out: half the time of the general one
            found = (value.casefold(),) if alone else tuple(text.casefold() for text in self.texts(field))  # type: ignore[union-attr]  # it is a text
            self._folded[field] = found
        return found


Holds = Callable[[View], bool]


def render(value: Any) -> str | None:
    """Return a value as text: numbers as written in JSON; objects have none.

    >>> render(True), render(4625), render({})
    ('true', '4625', None)
    """
    if isinstance(value, str):
        return value
    if value is True or value is False:
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def number_of(value: Any) -> int | float | None:
    """Return the number that a value is or writes, or None."""
    if type(value) is int:
        return value
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        return float(value) if any(sign in value for sign in ".eE") else int(value)
    return value if isinstance(value, float) else None


def holds(node: Node) -> Holds:
    """Turn a condition into a function over a view of an event."""
    if isinstance(node, Leaf):
        return _leaf(node)
    if isinstance(node, Not):
        return partial(_none, holds(node.of))
    parts = tuple(map(holds, node.of))
    return partial(_all, parts) if isinstance(node, All) else partial(_any, parts)


def _none(part: Holds, view: View) -> bool:
    return not part(view)


def _all(parts: Iterable[Holds], view: View) -> bool:
    for part in parts:
        if not part(view):
            return False
    return True


def _any(parts: Iterable[Holds], view: View) -> bool:
    for part in parts:
        if part(view):
            return True
    return False


def true_leaves(node: Node, view: View) -> list[Leaf]:
    """Return the leaves that make a condition hold, in its order; what must not hold explains nothing."""
    if isinstance(node, Leaf):
        return [node] if _leaf(node)(view) else []
    if isinstance(node, Not):
        return []
    if isinstance(node, Either):
        return next((true_leaves(part, view) for part in node.of if holds(part)(view)), [])
    return [leaf for part in node.of for leaf in true_leaves(part, view)]


def true_term(leaf: Leaf, view: View) -> tuple[Term, str]:
    """Return the first term of a leaf that holds, and the value for which it does."""
    for term in leaf.terms:
        alone = _leaf(Leaf("value", (term,)))
        for value in view.values(leaf.field):
            if not isinstance(term, Reference) and alone(View({"value": value})):
                return term, render(value) or ""
    return leaf.terms[0], next(iter(view.texts(leaf.field)), "")


@lru_cache(maxsize=4096)
def _leaf(leaf: Leaf) -> Holds:
    texts = [term for term in leaf.terms if isinstance(term, Text) and not term.cased]
    numbers = frozenset(term.number for term in leaf.terms if isinstance(term, Number))
    parts: list[Holds] = [_texts(leaf.field, texts)] if texts else []
    if numbers:
        parts.append(partial(_number, leaf.field, numbers))
    others = [term for term in leaf.terms if not isinstance(term, Number) and (not isinstance(term, Text) or term.cased)]
    parts += [_single(leaf.field, term) for term in others]
    return parts[0] if len(parts) == 1 else partial(_any, tuple(parts))


def _number(field: str | None, numbers: frozenset[int | float], view: View) -> bool:
    if field is not None and type(alone := view.fields.get(field)) is int:
        return alone in numbers
    for value in view.values(field):
        if number_of(value) in numbers:
            return True
    return False


def _texts(field: str | None, terms: Sequence[Text]) -> Holds:
    """All texts of a leaf at once: equal, start, end and contain by Python's own searches, the rest by expression."""
    equal, starts, ends, inside = set(), set(), set(), set()
    others: list[Callable[[str], Any]] = []
    for term in terms:
        parts = tuple(part.casefold() if isinstance(part, str) else part for part in term.parts)
        match parts:
            case ():
                equal.add("")
            case (str() as whole,):
                equal.add(whole)
            case (str() as start, 0):
                starts.add(start)
            case (0, str() as end):
                ends.add(end)
            case (0, str() as middle, 0):
                inside.add(middle)
            case _:
                others.append(_wildcards(parts))
    return _text(
        field, frozenset(equal), tuple(sorted(starts)), tuple(sorted(ends)), [*map(_inside_of, sorted(inside)), *others]
    )


def _text(
    field: str | None,
    equal: frozenset[str],
    starts: tuple[str, ...],
    ends: tuple[str, ...],
    others: Sequence[Callable[[str], Any]],
) -> Holds:
    def test(view: View) -> bool:
        for text in view.folded(field):
            if text in equal or text.startswith(starts) or text.endswith(ends):
                return True
            for other in others:
                if other(text):
                    return True
        return False

    return test


def _inside_of(part: str) -> Callable[[str], bool]:
    return lambda text: part in text


def _wildcards(parts: Sequence[str | int]) -> Callable[[str], Any]:
    expression = "".join(re.escape(part) if isinstance(part, str) else (".*" if part == MANY else ".") for part in parts)
    return re.compile(expression, re.DOTALL).fullmatch


def _single(field: str | None, term: Term) -> Holds:
    match term:
        case Null() | Exists(False):
            return partial(_none, partial(_present, field))
        case Exists():
            return partial(_present, field)
        case Reference():
            return partial(_refers, field, term)
        case Text() | Pattern():
            test = _text_test(term)
            return lambda view: any(test(text) for text in view.texts(field))
        case Number(number):
            return partial(_number, field, frozenset({number}))
        case _:
            check = _value_test(term)
            return lambda view: any(check(value) for value in view.values(field))


def _present(field: str | None, view: View) -> bool:
    if field is not None and type(view.fields.get(field)) is str:
        return True
    for value in view.values(field):
        if value is not None:
            return True
    return False


def _text_test(term: Text | Pattern) -> Callable[[str], Any]:
    if isinstance(term, Text):
        return _wildcards(term.parts)
    flags = re.RegexFlag(0)
    for flag in term.flags:
        flags |= _FLAGS[flag]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested sets and the like in rules that are not ours
        return re.compile(term.regex, flags).search


def _value_test(term: Truth | Network | Compared | Part) -> Callable[[Any], bool]:
    match term:
        case Truth(truth):
            word = "true" if truth else "false"
            return lambda value: value is truth or (isinstance(value, str) and value.casefold() == word)
        case Network(cidr):
            return partial(_inside, ip_network(cidr))
        case Compared(op, number):
            compare = _OPERATORS[op]
            return lambda value: (found := number_of(value)) is not None and compare(found, number)
        case Part():
            return partial(_at, term)


def _inside(network: Any, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return ip_address(value) in network
    except ValueError:
        return False


def _at(term: Part, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return False
    found: int = time.isocalendar().week if term.part == "week" else getattr(time, term.part)
    return found == term.number


def _refers(field: str | None, term: Reference, view: View) -> bool:
    for text in view.folded(field):
        for other in view.folded(term.field):
            if term.starts and term.ends:
                found = other in text
            elif term.starts:
                found = text.startswith(other)
            elif term.ends:
                found = text.endswith(other)
            else:
                found = text == other
            if found:
                return True
    return False
