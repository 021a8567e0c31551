"""Sigma evaluated straight over pySigma's own tree, value by value: slow, and nothing of it is shared with the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR
from sigma.rule import SigmaRule
from sigma.types import (
    CompareOperators,
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
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaType,
    SpecialChars,
)

FLAGS = {
    SigmaRegularExpressionFlag.IGNORECASE: re.I,
    SigmaRegularExpressionFlag.MULTILINE: re.M,
    SigmaRegularExpressionFlag.DOTALL: re.S,
}


def trees(rule: SigmaRule) -> list[Any]:
    """Return the conditions of a rule as pySigma's trees."""
    return [condition.parse() for condition in rule.detection.parsed_condition]


def holds(conditions: list[Any], event: Mapping[str, Any]) -> bool:
    """Whether one of a rule's conditions holds for an event."""
    return any(tree(condition, event) for condition in conditions)


def tree(node: Any, event: Mapping[str, Any]) -> bool:
    if isinstance(node, ConditionOR):
        return any(tree(part, event) for part in node.args)
    if isinstance(node, ConditionAND):
        return all(tree(part, event) for part in node.args)
    if isinstance(node, ConditionNOT):
        return not tree(node.args[0], event)
    if isinstance(node, ConditionFieldEqualsValueExpression):
        return field(node.field, node.value, event)
    return any(keyword(node.value, value) for name in event for value in many(event[name]))


def many(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def field(name: str, wanted: SigmaType, event: Mapping[str, Any]) -> bool:
    if isinstance(wanted, SigmaExpansion):
        return any(field(name, item, event) for item in wanted.values)
    values = [value for value in many(event.get(name)) if value is not None]
    if isinstance(wanted, SigmaNull):
        return not values
    if isinstance(wanted, SigmaExists):
        return bool(values) == wanted.exists
    if isinstance(wanted, SigmaFieldReference):
        others = [str(other) for other in many(event.get(wanted.field))]
        return any(refers(str(value), other, wanted) for value in values for other in others)
    return any(single(wanted, value) for value in values)


def refers(value: str, other: str, wanted: SigmaFieldReference) -> bool:
    pattern = re.escape(other)
    pattern += ".*" if wanted.starts_with else ""
    pattern = (".*" if wanted.ends_with else "") + pattern
    return re.fullmatch(pattern, value, re.I | re.S) is not None


def keyword(wanted: SigmaType, value: Any) -> bool:
    if isinstance(wanted, SigmaExpansion):
        return any(keyword(item, value) for item in wanted.values)
    if isinstance(wanted, SigmaNumber):
        return str(wanted.number) in text(value)
    if isinstance(wanted, SigmaString):
        return re.search(pattern(wanted), text(value), case(wanted) | re.S) is not None
    return single(wanted, value)


def text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def case(wanted: SigmaString) -> re.RegexFlag:
    return re.RegexFlag(0) if isinstance(wanted, SigmaCasedString) else re.I


def pattern(wanted: SigmaString) -> str:
    return "".join(
        (".*" if part is SpecialChars.WILDCARD_MULTI else ".") if isinstance(part, SpecialChars) else re.escape(str(part))
        for part in wanted.s
    )


def single(wanted: SigmaType, value: Any) -> bool:
    if isinstance(wanted, SigmaString):
        return re.fullmatch(pattern(wanted), text(value), case(wanted) | re.S) is not None
    if isinstance(wanted, SigmaRegularExpression):
        flags = re.RegexFlag(0)
        for flag in wanted.flags:
            flags |= FLAGS[flag]
        return re.search(str(wanted.regexp), text(value), flags) is not None
    if isinstance(wanted, SigmaBool):
        return value is wanted.boolean or (isinstance(value, str) and value.lower() == str(wanted.boolean).lower())
    if isinstance(wanted, SigmaCIDRExpression):
        try:
            return ip_address(value if isinstance(value, str) else "") in wanted.network
        except ValueError:
            return False
    number = as_number(value)
    if isinstance(wanted, SigmaNumber):
        return number is not None and number == wanted.number
    assert isinstance(wanted, SigmaCompareExpression)
    return number is not None and compared(number, wanted)


def as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", value):
        return None
    return float(value)


def compared(number: float, wanted: SigmaCompareExpression) -> bool:
    limit = wanted.number.number
    return {
        CompareOperators.LT: number < limit,
        CompareOperators.LTE: number <= limit,
        CompareOperators.GT: number > limit,
        CompareOperators.GTE: number >= limit,
        CompareOperators.NEQ: number != limit,
    }[wanted.op]
