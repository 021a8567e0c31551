"""Each modifier and each kind of value of Sigma, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.strategies import event

from xmsec.content.detectors import detector_of
from xmsec.content.load import Document
from xmsec.detect.match import RuleSet, compile_rules
from xmsec.model.errors import ContentError
from xmsec.model.types import Event

RULE = "3d1f1a52-7a0c-4c60-9d4f-0b4f0f0d2f11"


def make_event(fields: dict[str, Any], **more: Any) -> Event:
    return event(1, 0, fields=fields, **more)


def rule(detection: dict[str, Any], condition: str = "sel") -> tuple[RuleSet, list[ContentError]]:
    body = {"title": "t", "id": RULE, "logsource": {"category": "x"}, "detection": {**detection, "condition": condition}}
    return compile_rules([detector_of(Document(Path("r.yml"), "", body))])


def matches(selection: Any, fields: dict[str, Any]) -> bool:
    found, problems = rule({"sel": selection})
    assert not problems
    return found.match_fields([fields]) == [(RULE,)]


HOLDS = {
    "equal without case": ({"a": "GeT"}, {"a": "get"}),
    "one of a list": ({"a": ["x", "y"]}, {"a": "y"}),
    "any element of a list": ({"a": "y"}, {"a": ["x", "y"]}),
    "wildcards": ({"a": "f?o*r"}, {"a": "fxo--r"}),
    "a star also takes line feeds": ({"a": "a*b"}, {"a": "a\nb"}),
    "an escaped wildcard": ({"a": r"a\*b"}, {"a": "a*b"}),
    "a plain backslash": ({"a|endswith": r"\cmd.exe"}, {"a": r"C:\CMD.EXE"}),
    "an escaped backslash before a wildcard": ({"a": r"c:\\*"}, {"a": r"c:\x"}),
    "contains": ({"a|contains": "mid"}, {"a": "aMIDb"}),
    "contains all": ({"a|contains|all": ["x", "y"]}, {"a": "yx"}),
    "startswith": ({"a|startswith": "ab"}, {"a": "ABC"}),
    "endswith": ({"a|endswith": "bc"}, {"a": "ABC"}),
    "cased": ({"a|cased": "Ab"}, {"a": "Ab"}),
    "expression, anywhere": ({"a|re": "b+c"}, {"a": "abbcd"}),
    "expression without case": ({"a|re|i": "^B"}, {"a": "bc"}),
    "expression over lines": ({"a|re|m": "^b"}, {"a": "a\nb"}),
    "expression whose dot takes all": ({"a|re|s": "a.b"}, {"a": "a\nb"}),
    "network": ({"a|cidr": "10.0.0.0/8"}, {"a": "10.200.1.1"}),
    "network of version 6": ({"a|cidr": "2001:db8::/32"}, {"a": "2001:db8::1"}),
    "base64 with offset": ({"a|base64offset|contains": "foobar"}, {"a": "xxZm9vYmFyeA=="}),
    "base64": ({"a|base64": "foo"}, {"a": "Zm9v"}),
    "wide and base64": ({"a|wide|base64offset|contains": "ping"}, {"a": "cABpAG4AZw"}),
    "windash": ({"a|windash|contains": " -f "}, {"a": "x /F y"}),
    "less": ({"n|lt": 5}, {"n": 4}),
    "at most": ({"n|lte": 5}, {"n": "5"}),
    "more": ({"n|gt": 5}, {"n": 5.5}),
    "at least": ({"n|gte": 5}, {"n": 5}),
    "not equal": ({"a|neq": "x"}, {"a": "y"}),
    "not equal holds for what is absent": ({"a|neq": "x"}, {"b": "y"}),
    "exists": ({"a|exists": True}, {"a": ""}),
    "does not exist": ({"a|exists": False}, {"b": "x"}),
    "another field": ({"a|fieldref": "b"}, {"a": "X", "b": "x"}),
    "contains another field": ({"a|fieldref|contains": "b"}, {"a": "1x2", "b": "x"}),
    "null": ({"a": None}, {"b": 1}),
    "an empty list is null": ({"a": None}, {"a": [], "b": 1}),
    "empty text": ({"a": ""}, {"a": ""}),
    "number and text": ({"n": 404}, {"n": "404"}),
    "text and number": ({"n": "404"}, {"n": 404}),
    "number in a wildcard": ({"n": "40*"}, {"n": 404}),
    "boolean": ({"a": True}, {"a": True}),
    "boolean and its word": ({"a": False}, {"a": "False"}),
    "words anywhere": (["needle"], {"x": "a needle in hay"}),
    "a number as a word": ([4625], {"x": "event 4625 here"}),
    "a map of alternatives": ([{"a": "x"}, {"b": "y"}], {"b": "y"}),
    "hour of a time": ({"a|hour": 23}, {"a": "2026-01-05T23:15:00+08:00"}),
    "Chinese": ({"a|contains": "导出"}, {"a": "批量导出人员"}),
    "full folding": ({"a": "STRASSE"}, {"a": "Straße"}),
}
FAILS = {
    "another value": ({"a": "x"}, {"a": "xy"}),
    "an absent field": ({"a": "*"}, {"b": "x"}),
    "all of a list wants all": ({"a|contains|all": ["x", "y"]}, {"a": "x"}),
    "every field of a map": ({"a": "x", "b": "y"}, {"a": "x"}),
    "cased in another case": ({"a|cased": "Ab"}, {"a": "AB"}),
    "an expression minds case": ({"a|re": "b"}, {"a": "B"}),
    "an address outside": ({"a|cidr": "10.0.0.0/8"}, {"a": "11.0.0.1"}),
    "no address at all": ({"a|cidr": "10.0.0.0/8"}, {"a": "ten"}),
    "a number that is none": ({"n|gt": 1}, {"n": "many"}),
    "a boolean is no number": ({"n": 1}, {"n": True}),
    "null is something there": ({"a": None}, {"a": "x"}),
    "an object is no text": ({"a": "*"}, {"a": {}}),
    "an absent other field": ({"a|fieldref": "b"}, {"a": "x"}),
    "an escaped wildcard is no wildcard": ({"a": r"a\*b"}, {"a": "axb"}),
}


@pytest.mark.parametrize(("selection", "fields"), HOLDS.values(), ids=HOLDS.keys())
def test_it_holds(selection: Any, fields: dict[str, Any]) -> None:
    assert matches(selection, fields)


@pytest.mark.parametrize(("selection", "fields"), FAILS.values(), ids=FAILS.keys())
def test_it_does_not_hold(selection: Any, fields: dict[str, Any]) -> None:
    assert not matches(selection, fields)


CONDITIONS = {
    "sel_a and sel_b": (False, True),
    "sel_a or sel_b": (True, True),
    "not sel_b": (True, False),
    "1 of sel_*": (True, True),
    "all of sel_*": (False, True),
    "1 of them": (True, True),
    "all of them": (False, False),
    "any of them": (True, True),
    "sel_a and not (sel_b or out)": (True, False),
    "sel_a and not 1 of out*": (True, True),
}


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS.items(), ids=CONDITIONS.keys())
def test_conditions(condition: str, expected: tuple[bool, bool]) -> None:
    found, problems = rule({"sel_a": {"a": 1}, "sel_b": {"b": 1}, "out": {"c": 1}}, condition)
    assert not problems
    assert tuple(bool(told) for told in found.match_fields([{"a": 1}, {"a": 1, "b": 1}])) == expected


def test_several_conditions_are_alternatives() -> None:
    body = {"title": "t", "logsource": {"category": "x"}, "detection": {"a": {"x": 1}, "b": {"y": 1}, "condition": ["a", "b"]}}
    found, _ = compile_rules([detector_of(Document(Path("r.yml"), "", body))])
    assert found.match_fields([{"y": 1}, {"z": 1}]) == [("r",), ()]


WRONG = {
    "a placeholder without a value": ({"sel": {"a|expand": "%admins%"}}, "sel", "placeholder"),
    "an unknown modifier": ({"sel": {"a|sounds": "x"}}, "sel", "sounds"),
    "an unknown detection": ({"sel": {"a": "x"}}, "sel and other", "other"),
    "a broken expression": ({"sel": {"a|re": "("}}, "sel", "expression"),
    "no network": ({"sel": {"a|cidr": "10.0.0.0/99"}}, "sel", "CIDR"),
    "the old pipe": ({"sel": {"a": "x"}}, "sel | count() > 5", "pipe"),
    "a selector that selects nothing": ({"sel": {"a": "x"}}, "1 of other*", "other*"),
    "a comparison with a text": ({"sel": {"n|gt": "x"}}, "sel", "incompatible"),
}


@pytest.mark.parametrize(("detection", "condition", "part"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_load_is_one_line_that_names_the_file(detection: dict[str, Any], condition: str, part: str) -> None:
    found, problems = rule(detection, condition)
    assert not found.rules
    assert len(problems) == 1
    line = str(problems[0])
    assert part in line
    assert "r.yml:" in line
    assert "\n" not in line


def test_a_match_says_which_field_held_which_value_against_which_pattern() -> None:
    found, _ = rule({"sel": {"a|contains": ["no", "ex"], "b|gte": 3}, "out": {"c": "x"}}, "sel and not out")
    reasons = found.why(RULE, make_event({"a": "an example", "b": 7}))
    assert [(reason.what, reason.value, reason.usual, reason.weight) for reason in reasons] == [
        ("a", "an example", "*ex*", 0.5),
        ("b", "7", "gte 3", 0.5),
    ]


def test_a_rejected_record_matches_nothing() -> None:
    found, _ = rule({"sel": {"a": None}})
    assert found.match([make_event({"event.kind": "pipeline_error"}, flags=("rejected",)), make_event({"b": 1})]) == [
        (),
        (RULE,),
    ]


def test_a_rule_about_a_stream_leaves_the_others() -> None:
    body = {"title": "t", "logsource": {"service": "city.web"}, "detection": {"s": {"a": 1}, "condition": "s"}}
    found, _ = compile_rules([detector_of(Document(Path("r.yml"), "", body))], streams=("city.web", "city.db"))
    assert found.match([make_event({"a": 1}), make_event({"a": 1}, stream="city.db")]) == [("r",), ()]


def test_a_rule_may_ask_for_the_stream_itself() -> None:
    found, _ = rule({"sel": {"xmsec.stream": "city.db", "xmsec.system": "city"}})
    assert found.match([make_event({"a": 1}), make_event({"a": 1}, stream="city.db")]) == [(), (RULE,)]
