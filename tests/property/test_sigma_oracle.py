"""The engine agrees with a naive reading of pySigma's tree, with its index and without."""

from __future__ import annotations

import zipfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sigma.rule import SigmaRule
from sigma.types import SigmaCompareExpression, SigmaExpansion, SigmaNumber, SigmaString, SpecialChars
from tests import naive_sigma
from tests.rules import NO_SIGMA_HQ, SIGMA_HQ

from xmsec.content.detectors import DetectorFile, detector_of
from xmsec.content.load import Document, parse
from xmsec.detect.match import compile_rules
from xmsec.detect.translate import sigma_rule

FIELDS = ("a", "b.c", "n")
PIECES = ("ab", "A", "b", "/", "\\", "*", "?", "\\*", "\\\\", " ", "-x", "厦门", "1", ".")
texts = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
scalars = st.one_of(texts, st.integers(-2, 12), st.booleans())
TEXT_MODIFIERS = ("", "|contains", "|startswith", "|endswith", "|cased", "|contains|cased", "|windash|contains", "|neq")


@st.composite
def items(draw: st.DrawFn) -> dict[str, Any]:
    """One line of a detection: a field with modifiers, and what it is compared with."""
    field = draw(st.sampled_from(FIELDS))
    kind = draw(
        st.sampled_from(("text", "text", "text", "plain", "number", "compare", "exists", "null", "re", "fieldref", "base64"))
    )
    if kind == "text":
        modifier = draw(st.sampled_from(TEXT_MODIFIERS))
        values = draw(st.lists(texts.filter(bool), min_size=1, max_size=3))
        all_of = "|all" if len(values) > 1 and modifier != "|neq" and draw(st.booleans()) else ""
        return {f"{field}{modifier}{all_of}": values}
    return {
        "plain": lambda: {field: draw(scalars)},
        "number": lambda: {field: draw(st.lists(st.integers(-2, 12), min_size=1, max_size=3))},
        "compare": lambda: {f"{field}|{draw(st.sampled_from(('lt', 'lte', 'gt', 'gte')))}": draw(st.integers(-2, 12))},
        "exists": lambda: {f"{field}|exists": draw(st.booleans())},
        "null": lambda: {field: None},
        "re": lambda: {
            f"{field}|re{draw(st.sampled_from(('', '|i', '|s')))}": draw(st.sampled_from(("^a.", "b$", "[0-9]+", "A|b")))
        },
        "fieldref": lambda: {f"{field}|fieldref": draw(st.sampled_from(FIELDS))},
        "base64": lambda: {f"{field}|base64offset|contains": draw(st.sampled_from(("ab", "厦门")))},
    }[kind]()


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """A rule of up to three detections and any condition over them."""
    merged = st.lists(items(), min_size=1, max_size=2).map(lambda found: {k: v for item in found for k, v in item.items()})
    words = st.lists(texts.filter(lambda text: text.strip("*?")), min_size=1, max_size=2)
    detections = {
        name: draw(st.one_of(merged, merged, st.lists(merged, min_size=2, max_size=2), words))
        for name in ("sel", "sel_b", "out")
    }
    condition = draw(
        st.sampled_from(
            (
                "sel",
                "sel and not out",
                "1 of sel*",
                "all of sel*",
                "all of them",
                "1 of them",
                "not 1 of sel* or out",
                "sel and (sel_b or not out)",
                "not sel",
                "(sel or sel_b) and not (out and sel)",
            )
        )
    )
    return {"title": "t", "logsource": {"category": "test"}, "detection": {**detections, "condition": condition}}


values = st.one_of(
    scalars, st.none(), st.lists(scalars, max_size=2), st.sampled_from(("YWI=", "5Y6m6Zeo", "xx/X -x ab", "3.0", "true"))
)
events = st.dictionaries(st.sampled_from((*FIELDS, "other")), values, min_size=1, max_size=4)


def compiled(bodies: list[dict[str, Any]], cache: Path | None = None):  # type: ignore[no-untyped-def]
    files = [detector_of(Document(Path(f"rule-{number}.yml"), "", body)) for number, body in enumerate(bodies)]
    found, problems = compile_rules(files, cache)
    assert not problems, [str(problem) for problem in problems]
    return found


@settings(max_examples=150, deadline=None)
@given(bodies=st.lists(rules(), min_size=1, max_size=3), documents=st.lists(events, min_size=1, max_size=4))
def test_the_engine_reads_a_rule_as_pysigma_writes_it(bodies: list[dict[str, Any]], documents: list[dict[str, Any]]) -> None:
    found = compiled(bodies)
    oracles = {f"rule-{number}": naive_sigma.trees(SigmaRule.from_dict(body)) for number, body in enumerate(bodies)}
    expected = [tuple(name for name, rule in sorted(oracles.items()) if naive_sigma.holds(rule, event)) for event in documents]
    assert found.match_fields(documents) == expected


@settings(max_examples=100, deadline=None)
@given(bodies=st.lists(rules(), min_size=1, max_size=4), documents=st.lists(events, min_size=1, max_size=6))
def test_the_index_leaves_out_no_rule_that_holds(bodies: list[dict[str, Any]], documents: list[dict[str, Any]]) -> None:
    found = compiled(bodies)
    assert found.match_fields(documents) == [found.every(event) for event in documents]


def test_a_compiled_set_from_the_cache_is_the_same(tmp_path: Path) -> None:
    body = {
        "title": "t",
        "logsource": {"category": "x"},
        "detection": {"s": {"a|contains": ["Foo", "b*rrr"], "n": 3}, "condition": "s"},
    }
    first, again = compiled([body], tmp_path), compiled([body], tmp_path)
    assert first.rules == again.rules
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".hs", ".mp"]
    for path in tmp_path.iterdir():  # a byte that changed is noticed, and the set compiled anew
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert compiled([body], tmp_path).match_fields([{"a": "xxFOO", "n": "3"}]) == [("rule-0",)]


SHARE = 10  # of the SigmaHQ rules, every tenth


@pytest.fixture(scope="module")
def sigma_hq() -> list[DetectorFile]:
    if not SIGMA_HQ.is_file():
        pytest.skip(NO_SIGMA_HQ)
    with zipfile.ZipFile(SIGMA_HQ) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".yml"))[::SHARE]
        return [detector_of(parse(Path(name), archive.read(name).decode())) for name in names]


def test_sigma_hq_rules_hold_for_what_is_made_of_their_values(sigma_hq: list[DetectorFile]) -> None:
    """Several hundred published rules, and events built from their own values, some of them spoilt."""
    found, problems = compile_rules(sigma_hq)
    assert len(problems) <= 1, [str(problem) for problem in problems]
    rules = {file.id: sigma_rule(file.body) for file in sigma_hq if file.id in found.rules}
    chance = Random(7)
    documents = [event for rule in rules.values() for event in made_of(rule, chance)]
    told = found.match_fields(documents)
    own = [name for name in rules for _ in range(EVENTS)]
    conditions = {name: naive_sigma.trees(rule) for name, rule in rules.items()}
    few = list(conditions)[::8]
    for event, matched, name in zip(documents, told, own, strict=True):
        tried = [name, *few]
        expected = {other for other in tried if naive_sigma.holds(conditions[other], event)}
        assert {other for other in tried if other in matched} == expected
    assert sum(name in matched for matched, name in zip(told, own, strict=True)) > len(rules)


EVENTS = 3


def made_of(rule: SigmaRule, chance: Random) -> list[dict[str, Any]]:
    """Make events of a rule's own values: one of each field; one field spoilt; in upper case."""
    by_field: dict[str, list[Any]] = {}
    for name, detection in rule.detection.detections.items():
        collect(detection, by_field, filtering=name.startswith("filter"))
    event = {field: chance.choice(found) for field, found in by_field.items() if found}
    spoilt = dict(event)
    if spoilt:
        spoilt.pop(chance.choice(sorted(spoilt)))
    loud = {field: value.upper() if isinstance(value, str) else str(value) for field, value in event.items()}
    return [event, spoilt, loud]


def collect(detection: Any, by_field: dict[str, list[Any]], *, filtering: bool) -> None:
    for item in getattr(detection, "detection_items", ()):
        if hasattr(item, "detection_items"):
            collect(item, by_field, filtering=filtering)
        elif not filtering:
            found = [concrete(value) for value in item.value]
            known = [value for value in found if value is not None]
            together = (
                [" ".join(map(str, known))] if item.value_linking.__name__ == "ConditionAND" and len(known) > 1 else known
            )
            by_field.setdefault(item.field or "message", []).extend(together)


def concrete(value: Any) -> Any:
    """Return a value for which this term holds, or None."""
    if isinstance(value, SigmaExpansion):
        return concrete(value.values[0])
    if isinstance(value, SigmaString):
        return "".join(
            part if isinstance(part, str) else ("zz" if part is SpecialChars.WILDCARD_MULTI else "z") for part in value.s
        )
    if isinstance(value, SigmaNumber):
        return value.number
    return value.number.number + 1 if isinstance(value, SigmaCompareExpression) else None


def test_nearly_all_sigma_hq_rules_load(sigma_hq: list[DetectorFile]) -> None:
    found, problems = compile_rules(sigma_hq)
    assert len(found.rules) + len(problems) == len(sigma_hq)
    assert all("placeholder" in problem.what for problem in problems), [str(problem) for problem in problems]


def test_a_rule_survives_yaml() -> None:
    text = yaml.safe_dump(
        {"title": "t", "logsource": {"category": "x"}, "detection": {"s": {"a|endswith": "\\cmd.exe"}, "condition": "s"}}
    )
    found, _ = compile_rules([detector_of(parse(Path("r.yml"), text))])
    assert found.match_fields([{"a": "C:\\Windows\\CMD.EXE"}, {"a": "cmd.exe"}]) == [("r",), ()]
