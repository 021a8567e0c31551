"""What inline tests of detectors rest on: when their time ends, that none of their events is lost, and that a break shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.rules import file_of, loaded, road_of
from tests.toys import Each

from xmsec.content.detectors import Case, Given
from xmsec.content.expect import SECOND, START, inline_events, until
from xmsec.content.lint.every import lint
from xmsec.content.lint.issue import Known
from xmsec.model.errors import InputError
from xmsec.model.types import Context, Finding, Key
from xmsec.pipeline.inline import play

RULE = """title: {{zh: 一, en: One}}
name: some-rule
status: test
references: [one]
logsource: {{category: test}}
detection: {{one: {{user.id: u7}}, condition: one}}
level: low
tests:
  - name: fires
    given: {{events: {events}}}
    findings: [{{entity: u7, severity: low}}]
  - name: near miss
    given: {{events: [{{user.id: u8}}]}}
    findings: []
"""


def case(events: Sequence[Mapping[str, Any]], end: str | None = None) -> Case:
    return Case("some test", Given(tuple(map(dict, events)), until=end), ())


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (None, None),
        ("2d", START + 3 * SECOND + timedelta(days=2)),
        ("+90s", START + timedelta(seconds=90)),
        ("2026-02-01T00:00:00+08:00", START + timedelta(days=26, hours=14)),
    ],
    ids=["not said", "after the last event", "after the start", "a moment"],
)
def test_event_time_ends_where_a_test_says(end: str | None, expected: Any) -> None:
    assert until(case([{"a": 1, "repeat": 4}], end)) == expected


@pytest.mark.parametrize("end", ["soon", "+soon", "2 d", "9999999w"])
def test_an_end_that_is_none_is_refused(end: str) -> None:
    with pytest.raises(InputError, match="bad-time"):
        until(case([{"a": 1}], end))


@pytest.mark.parametrize(
    "wrong",
    [
        {"repeat": "many"},
        {"repeat": 2, "every": "9999999w"},
        {"time": 7},
        {"time": "+9999999w"},
        {"datasets": "postgres://db/t"},
        {"stage": "lunch"},
        {"flags": [1]},
        {"stream": ["a"]},
    ],
    ids=str,
)
def test_an_event_that_cannot_be_one_fails_its_test(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        inline_events(case([{"a": 1, **wrong}]))


@pytest.mark.parametrize(
    ("events", "late"),
    [
        ("[{user.id: u7, repeat: 10, every: 1m}, {user.id: u7, time: '+1m'}]", 1),
        ("[{user.id: u7, repeat: 10, every: 1m}, {user.id: u7, time: '+4m'}]", 0),
        ("[{user.id: u7, repeat: 10, every: 1m}, {user.id: u7, stream: a.b, time: '+1m'}]", 0),
        ("[{user.id: u7, time: '+1h'}, {user.id: u7, time: '+1m', repeat: 3}]", 3),
    ],
    ids=["late", "within the lateness", "another stream", "several"],
)
def test_the_lint_names_tests_whose_events_are_late(events: str, late: int) -> None:
    told = [issue for issue in lint([file_of(RULE.format(events=events))], Known()) if "late" in issue.what]
    assert [issue.what for issue in told] == [
        f'test "fires": {late} events stand after later ones, and windows leave them as late'
    ] * bool(late)
    assert [issue.severity for issue in told] == ["warning"] * bool(late)


class Breaking(Each):
    """A detector that no event gets through."""

    def step(
        self, states: Mapping[Key, None], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, None], Sequence[Finding]]:
        raise ZeroDivisionError


def test_a_detector_that_breaks_fails_its_test_instead_of_finding_nothing() -> None:
    road = msgspec.structs.replace(road_of(loaded([])), detectors={"toy-each": Breaking()})
    events = inline_events(case([{"user.id": "u7", "event.action": "forbidden"}]))
    with pytest.raises(InputError, match="broken:ZeroDivisionError; detect:toy-each"):
        play(road, events)
