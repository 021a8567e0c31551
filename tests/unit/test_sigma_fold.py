"""What the fold of Sigma matches tells, and how much it remembers."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from tests.matches import RULES, rule_file, sigma
from tests.rules import loaded
from tests.strategies import at, event

from xmsec.model.clock import FAR
from xmsec.model.types import Context, Finding, Key

LIN = Key("user", "lin")


def match(number: int, seconds: float, rule: str = RULES[0], *, late: bool = False, **fields: str) -> Context:
    return Context(event(number, seconds, fields={"user.id": "lin", "rule": rule, **fields}), matches=(rule,), late=late)


def step(*contexts: Context) -> tuple[dict[Key, object], list[Finding]]:
    detector = sigma()
    fresh = [(key, context) for context in contexts for key in detector.keys(context)]
    states, findings = detector.step({key: detector.start() for key, _ in fresh}, fresh)
    return dict(states), list(findings)


def test_one_rule_and_entity_within_the_window_is_one_finding_with_an_exact_count() -> None:
    states, findings = step(*(match(number, 60 * number) for number in range(40)))
    assert [(each.detector, each.entity.id, each.count, each.state, each.severity) for each in findings] == [
        (RULES[0], "lin", 40, "open", "high")
    ]
    closed, final = sigma().advance(states, at(3600))
    assert [(each.id, each.count, each.state) for each in final] == [(findings[0].id, 40, "final")]
    assert closed == {LIN: None}


def test_the_window_begins_on_the_hour_of_the_deployment() -> None:
    _, findings = step(match(1, 90 * 60))
    assert (findings[0].window.start, findings[0].window.end) == (at(3600), at(7200))


def test_a_finding_says_field_value_and_pattern() -> None:
    _, findings = step(match(1, 0))
    assert [(each.what, each.value, each.usual) for each in findings[0].explanation] == [("rule", RULES[0], RULES[0])]


def test_an_event_without_the_rule_s_entity_is_told_of_its_default_one() -> None:
    _, findings = step(match(1, 0, RULES[1]))
    assert findings[0].entity.type == "user"


def test_a_late_match_is_a_finding_of_its_own_and_touches_no_state() -> None:
    states, findings = step(match(1, 0, late=True), match(2, 1, late=True))
    assert states == {}
    assert [(each.count, each.state) for each in findings] == [(1, "final"), (1, "final")]
    assert len({each.id for each in findings}) == 2
    assert findings[0].window.end - findings[0].window.start == timedelta(microseconds=1)


def test_an_entity_that_matches_everything_stays_within_its_bytes() -> None:
    files = [rule_file(f"rule-{number:02}", level="high" if number < 5 else "low") for number in range(40)]
    detector = loaded(files).detectors["sigma"]
    names = tuple(file.id for file in files)
    told: dict[str, Finding] = {}
    states = {LIN: detector.start()}
    for batch in range(8):
        contexts = [
            Context(event(10 * batch + n, 10 * batch + n, fields={"user.id": "lin", "text": "x" * 200}), matches=names)
            for n in range(10)
        ]
        states, findings = detector.step(states, [(LIN, context) for context in contexts])
        told.update((each.id, each) for each in findings)
    assert len(msgspec.msgpack.encode(states[LIN])) <= 64 << 10
    told.update((each.id, each) for each in detector.advance(states, FAR)[1])
    high = [each for each in told.values() if each.severity == "high"]
    assert [each.count for each in high] == [80] * 5  # the gravest are never dropped
    assert all(len(each.evidence) == 5 for each in high)
    assert {each.detector for each in told.values()} == set(names)
