"""Sigma rules, parsed by pySigma, become terms of our own. Imports pySigma, so it is only imported when a rule is new."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule
from sigma.types import (
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from xmsec.content.detectors import DetectorFile
from xmsec.detect.terms import (
    MANY,
    ONE,
    All,
    Compared,
    Compiled,
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

_OWN = ("title_zh", "entity", "window", "playbooks", "controls", "tests", "known_false", "type")


def translate(file: DetectorFile) -> Compiled:
    """Parse one Sigma rule and translate its conditions (several are alternatives). Raises ContentError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a rule's own regular expressions may be odd; that is no concern of the log
            node = _node_of(sigma_rule(file.body))
    except SigmaError as error:
        raise file.error(_one_line(error), "$.detection", "correct the rule") from error
    except RecursionError as error:
        raise file.error("nested too deep", "$.detection", "split the rule") from error
    except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        raise file.error("not a Sigma rule", "$.detection", f"correct it ({type(error).__name__})") from error
    return Compiled(file.id, file.rule, file.title, node)


def sigma_rule(body: dict[str, Any]) -> SigmaRule:
    """Let pySigma parse a document without what is ours; `timeframe` belonged to a form of conditions that is gone."""
    plain = {key: value for key, value in body.items() if key not in _OWN}
    if isinstance(plain.get("detection"), dict):
        plain["detection"] = {key: value for key, value in plain["detection"].items() if key != "timeframe"}
    return SigmaRule.from_dict(plain)


def _one_line(error: SigmaError) -> str:
    return " ".join(str(error).split())[:200]


def _node_of(rule: SigmaRule) -> Node:
    parsed = [condition.parse() for condition in rule.detection.parsed_condition]
    if any(tree is None for tree in parsed):
        raise ValueError("an empty condition")
    return _either([_translate(tree) for tree in parsed])


def _translate(tree: Any) -> Node:
    if isinstance(tree, ConditionOR):
        return _either([_translate(part) for part in tree.args])
    if isinstance(tree, ConditionAND):
        parts = tuple(_translate(part) for part in tree.args)
        return parts[0] if len(parts) == 1 else All(parts)
    if isinstance(tree, ConditionNOT):
        return Not(_translate(tree.args[0]))
    if isinstance(tree, ConditionFieldEqualsValueExpression):
        return Leaf(tree.field, tuple(_terms(tree.value)))
    if isinstance(tree, ConditionValueExpression):
        return Leaf(None, tuple(_keyword(term) for term in _terms(tree.value)))
    raise TypeError("an unknown part of a condition")


def _either(parts: list[Node]) -> Node:
    """Join alternatives; those of one field become one leaf, at the place of the first."""
    joined: list[Node] = []
    place: dict[str | None, int] = {}
    for part in parts:
        if isinstance(part, Leaf) and part.field in place:
            before = joined[place[part.field]]
            joined[place[part.field]] = Leaf(part.field, (*getattr(before, "terms", ()), *part.terms))
        else:
            if isinstance(part, Leaf):
                place[part.field] = len(joined)
            joined.append(part)
    return joined[0] if len(joined) == 1 else Either(tuple(joined))


def _terms(value: SigmaType) -> Iterable[Term]:
    if isinstance(value, SigmaExpansion):
        for item in value.values:
            yield from _terms(item)
    elif isinstance(value, SigmaString):
        yield Text(tuple(_part(part) for part in value.s if part != ""), isinstance(value, SigmaCasedString))
    else:
        yield _plain_term(value)


def _plain_term(value: SigmaType) -> Term:
    match value:
        case SigmaTimestampPart():
            return Part(value.timestamp_part.name.lower(), int(value.number))  # type: ignore[arg-type]  # pySigma's enum is ours
        case SigmaNumber():
            return Number(value.number)
        case SigmaBool():
            return Truth(value.boolean)
        case SigmaNull():
            return Null()
        case SigmaExists():
            return Exists(value.exists)
        case SigmaRegularExpression():
            return Pattern(_regex(value), "".join(sorted(value.sigma_to_re_flag[flag] for flag in value.flags)))
        case SigmaCIDRExpression():
            return Network(value.cidr)
        case SigmaCompareExpression():
            return Compared(value.op.name.lower(), value.number.number)  # type: ignore[arg-type]  # pySigma's enum is ours
        case SigmaFieldReference():
            return Reference(value.field, value.starts_with, value.ends_with)
        case _:
            raise TypeError("an unknown kind of value")


def _regex(value: SigmaRegularExpression) -> str:
    if value.contains_placeholder():
        raise SigmaError("a placeholder has no value here")
    return str(value.regexp)


def _part(part: str | SpecialChars | Placeholder) -> str | int:
    if isinstance(part, Placeholder):
        raise SigmaError(f"placeholder %{part.name}% has no value here")
    if isinstance(part, SpecialChars):
        return MANY if part is SpecialChars.WILDCARD_MULTI else ONE
    return part


def _keyword(term: Term) -> Term:
    """A word without a field is looked for anywhere in a value."""
    if isinstance(term, Number):
        term = Text((f"{term.number}",))
    if isinstance(term, Null | Exists | Reference):
        raise SigmaError("this value needs a field")
    if not isinstance(term, Text):
        return term
    parts = term.parts
    start = () if parts and parts[0] == MANY else (MANY,)
    end = () if parts and parts[-1] == MANY else (MANY,)
    return Text((*start, *parts, *end), term.cased)
