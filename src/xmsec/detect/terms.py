"""A Sigma rule as small typed objects: what a condition consists of once the grammar is gone.

Lists of values of one field are one `Leaf`, modifiers have become kinds of terms, and quantifiers have become `All` and
`Either`. The objects are plain data, so that a compiled set of rules is cached as MessagePack.
"""

from __future__ import annotations

from typing import Literal, Union

import msgspec

MANY = 0  # the wildcard * among the parts of a text
ONE = 1  # the wildcard ?
WILDCARDS = {MANY: "*", ONE: "?"}


class Text(msgspec.Struct, frozen=True, tag="text", omit_defaults=True):
    """Text with wildcards: literal parts and `MANY` or `ONE`; case does not matter unless `cased`."""

    parts: tuple[str | int, ...]
    cased: bool = False


class Number(msgspec.Struct, frozen=True, tag="number"):
    """A number: equal to a number or to a text that writes one."""

    number: int | float


class Truth(msgspec.Struct, frozen=True, tag="truth"):
    """A boolean, or the word for it."""

    truth: bool


class Null(msgspec.Struct, frozen=True, tag="null"):
    """The field is absent, null or an empty list."""


class Exists(msgspec.Struct, frozen=True, tag="exists"):
    """The field is there and holds something, or is not."""

    exists: bool


class Pattern(msgspec.Struct, frozen=True, tag="pattern", omit_defaults=True):
    """A regular expression, found anywhere in the text; flags among i, m, s."""

    regex: str
    flags: str = ""


class Network(msgspec.Struct, frozen=True, tag="network"):
    """An IPv4 or IPv6 network that holds the address."""

    cidr: str


class Compared(msgspec.Struct, frozen=True, tag="compared"):
    """A number on one side of another."""

    op: Literal["lt", "lte", "gt", "gte", "neq"]
    number: int | float


class Reference(msgspec.Struct, frozen=True, tag="reference", omit_defaults=True):
    """Another field of the same event, equal to or part of this one."""

    field: str
    starts: bool = False
    ends: bool = False


class Part(msgspec.Struct, frozen=True, tag="part"):
    """A part of a time: its minute, hour, day of the month, ISO week, month or year."""

    part: Literal["minute", "hour", "day", "week", "month", "year"]
    number: int


Term = Text | Number | Truth | Null | Exists | Pattern | Network | Compared | Reference | Part


class Leaf(msgspec.Struct, frozen=True, tag="leaf"):
    """One of the terms holds for a field, or, without a field, for any value of the event."""

    field: str | None
    terms: tuple[Term, ...]


class All(msgspec.Struct, frozen=True, tag="all"):
    """Every one of them holds."""

    of: tuple[Node, ...]


class Either(msgspec.Struct, frozen=True, tag="either"):
    """At least one of them holds."""

    of: tuple[Node, ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    """It does not hold."""

    of: Node


Node = Union[Leaf, All, Either, Not]  # noqa: UP007 - the classes above name it before it exists


class Compiled(msgspec.Struct, frozen=True):
    """One rule: the id by which events name it in `matches`, Sigma's own id, its title, and when it holds."""

    id: str
    rule: str
    title: str
    node: Node


def written(term: Term) -> str:
    """Write a term as a person would read it in a finding's explanation."""
    match term:
        case Text(parts):
            return "".join(WILDCARDS[part] if isinstance(part, int) else part for part in parts)
        case Number(number) | Part(_, number):
            return f"{number}"
        case Truth(truth):
            return "true" if truth else "false"
        case Null():
            return "null"
        case Exists(exists):
            return "exists" if exists else "absent"
        case Pattern(regex):
            return f"/{regex}/"
        case Network(cidr):
            return cidr
        case Compared(op, number):
            return f"{op} {number}"
        case Reference(field):
            return f"= {field}"


def fields_of(node: Node) -> set[str]:
    """Return the fields that a condition reads."""
    if isinstance(node, Leaf):
        others = {term.field for term in node.terms if isinstance(term, Reference)}
        return others if node.field is None else {node.field, *others}
    if isinstance(node, Not):
        return fields_of(node.of)
    return set().union(*(fields_of(part) for part in node.of))


def unbound(node: Node) -> bool:
    """Whether a condition looks at every value of an event."""
    if isinstance(node, Leaf):
        return node.field is None
    if isinstance(node, Not):
        return unbound(node.of)
    return any(unbound(part) for part in node.of)
