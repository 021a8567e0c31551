"""What follows for whole rules from the parts that are known to hold, and which rules can hold at all.

A part that is not judged by its value alone (see `judge`) leaves the answer open where the judged parts do not settle it; then,
and only then, the rule is evaluated over the whole event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial

from xmsec.detect.judge import judged, literals_of
from xmsec.detect.terms import All, Exists, Leaf, Node, Not, Null, Number

Decide = Callable[[Set[int]], bool | None]
Need = frozenset[Leaf]

_ENOUGH = 8  # a literal longer than this does not get rarer in practice; among such, fewer is better
_COMMON = frozenset(
    {"get", "post", "http", "http://", "https://", "mozilla/5.0", "true", "false", "success"}
)  # as good as none
_RARE = 6  # what is shorter (`.png`) is met in many events
_NUMBER = 4  # a number is as rare as a literal of so many characters


def decided(node: Node, places: Mapping[Leaf, int]) -> Decide:
    """Turn a condition into a function of the places that hold: true, false, or None where other parts must be asked.

    places: the judged parts of the rule set.
    """
    if isinstance(node, Leaf):
        place = places.get(node)
        return _open if place is None else partial(_holds, place)
    if isinstance(node, Not):
        return partial(_not, decided(node.of, places))
    parts = [decided(part, places) for part in node.of]
    return partial(_all if isinstance(node, All) else _any, parts)


def _open(_true: Set[int]) -> None:
    return None


def _holds(place: int, true: Set[int]) -> bool:
    return place in true


def _not(part: Decide, true: Set[int]) -> bool | None:
    found = part(true)
    return None if found is None else not found


def _all(parts: Sequence[Decide], true: Set[int]) -> bool | None:
    found: bool | None = True
    for part in parts:
        one = part(true)
        if one is False:
            return False
        if one is None:
            found = None
    return found


def _any(parts: Sequence[Decide], true: Set[int]) -> bool | None:
    found: bool | None = False
    for part in parts:
        one = part(true)
        if one:
            return True
        if one is None:
            found = None
    return found


def need(node: Node) -> Need | None:
    """Return judged parts of which one must hold for a condition to hold, the rarest choice; None when nothing can be said.

    >>> from xmsec.detect.terms import Text
    >>> login, post = Leaf("url.path", (Text((0, "/wp-login.php")),)), Leaf("http.request.method", (Text(("POST",)),))
    >>> need(All((post, login))) == {login}
    True
    """
    if isinstance(node, Leaf):
        return _of_leaf(node)
    if isinstance(node, Not):
        return None
    parts = [need(part) for part in node.of]
    if isinstance(node, All):
        return max((part for part in parts if part), key=_rarity, default=None)
    return None if None in parts else frozenset().union(*(part for part in parts if part is not None))


def _of_leaf(leaf: Leaf) -> Need | None:
    """Return the part itself, or that its field is there, without which no expression or network can hold."""
    if any(isinstance(term, Null) or term == Exists(False) for term in leaf.terms):
        return None
    if judged(leaf):
        return frozenset({leaf})
    return None if leaf.field is None else frozenset({present(leaf.field)})


def present(field: str) -> Leaf:
    """Return the part that asks whether a field is there."""
    return Leaf(field, (Exists(True),))


def _rarity(parts: Need) -> tuple[int, int, list[str]]:
    """Order of sets of parts: how short the literal of the commonest is, then how many there are; the last settles ties."""
    return (min(map(_rare, parts)), -len(parts), sorted(map(repr, parts)))


def _rare(leaf: Leaf) -> int:
    literals = literals_of(leaf)
    if literals:
        return min(0 if literal in _COMMON else min(_ENOUGH, len(literal)) for literal in literals)
    return _NUMBER if all(isinstance(term, Number) for term in leaf.terms) else 1


def worth_judging(nodes: Iterable[Node]) -> dict[Leaf, int]:
    """Return the parts that are judged, each with its place: what a condition needs, and all of it where that holds often.

    Where what is needed is rare, the rest is asked over the whole event when it is there: with all 3,755 SigmaHQ rules, judging
    every part took twice as long.
    """
    found: dict[Leaf, None] = {}
    for node in nodes:
        needed = need(node)
        found |= dict.fromkeys(sorted(needed or (), key=repr))
        if needed is None or _rarity(needed)[0] < _RARE:
            found |= dict.fromkeys(leaf for leaf in _leaves(node) if judged(leaf))
    return {leaf: place for place, leaf in enumerate(found)}


def _leaves(node: Node) -> Iterable[Leaf]:
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Not):
        yield from _leaves(node.of)
    else:
        for part in node.of:
            yield from _leaves(part)
