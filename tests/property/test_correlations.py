"""Correlations against a walk over every window, written without the engine's slots, folds and pointers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.matches import RULES, correlation
from tests.strategies import at, event

from xmsec.model.clock import EPOCH, FAR
from xmsec.model.types import Context, Finding

HOURS = 6
T = timedelta(hours=HOURS)
MIDNIGHT = EPOCH - timedelta(hours=8)  # of Xiamen
GRID = 360
Told = dict[tuple[datetime, datetime], tuple[int, datetime, datetime]]

moments = st.lists(st.tuples(st.integers(0, 36 * 3600), st.sampled_from("abcd")), min_size=1, max_size=30)
seconds = st.lists(st.tuples(st.integers(0, 900), st.sampled_from("abcd")), min_size=1, max_size=30)


def contexts(made: Sequence[tuple[int, str]]) -> list[Context]:
    fields = ({"source.ip": "10.0.0.1", "url.path": path} for _, path in made)
    return [
        Context(event(number, second, fields=each), matches=RULES[:1])
        for number, ((second, _), each) in enumerate(zip(made, fields, strict=True))
    ]


def told(timespan: timedelta, field: str | None, threshold: int, made: Sequence[tuple[int, str]]) -> list[Finding]:
    detector = correlation(field, threshold, timespan)
    fresh = [(key, context) for context in contexts(made) for key in detector.keys(context)]
    states, _ = detector.step({key: detector.start() for key, _ in fresh}, fresh)
    return list(detector.advance(dict(states), FAR)[1])


def by_window(findings: Sequence[Finding]) -> Told:
    return {(each.window.start, each.window.end): (each.count, each.first_seen, each.time) for each in findings}


def walk(timespan: timedelta, field: str | None, threshold: int, made: Sequence[tuple[int, str]], *, grid: bool) -> Told:
    """Lay a window at every event (or at the start of its slot), and join the full ones that start in one bucket."""
    events = sorted((at(second), number, path) for number, (second, path) in enumerate(made))
    found: dict[int, set[tuple[datetime, int, str]]] = {}
    for time, _, _ in events:
        start = slot_start(time, timespan) if grid else Fraction((time - MIDNIGHT) // timedelta(microseconds=1))
        length = Fraction(timespan // timedelta(microseconds=1))
        inside = [item for item in events if start <= (item[0] - MIDNIGHT) // timedelta(microseconds=1) < start + length]
        weight = len({path for _, _, path in inside}) if field else len(inside)
        if weight >= threshold:
            found.setdefault(int(start // length), set()).update(inside if grid else [e for e in inside if e[0] >= time])
    result: Told = {}
    for bucket, items in found.items():
        times = [time for time, _, _ in items]
        result[MIDNIGHT + bucket * timespan, MIDNIGHT + (bucket + 2) * timespan] = (len(items), min(times), max(times))
    return result


def slot_start(time: datetime, timespan: timedelta) -> Fraction:
    length = Fraction(timespan // timedelta(microseconds=1), GRID)
    return (Fraction((time - MIDNIGHT) // timedelta(microseconds=1)) // length) * length


@settings(max_examples=150, deadline=None)
@given(made=moments, threshold=st.integers(1, 8))
def test_events_are_counted_as_in_a_walk_over_every_window(made: list[tuple[int, str]], threshold: int) -> None:
    assert by_window(told(T, None, threshold, made)) == walk(T, None, threshold, made, grid=True)


@settings(max_examples=150, deadline=None)
@given(made=moments, threshold=st.integers(1, 4))
def test_distinct_values_are_counted_as_in_a_walk(made: list[tuple[int, str]], threshold: int) -> None:
    assert by_window(told(T, "url.path", threshold, made)) == walk(T, "url.path", threshold, made, grid=True)


@settings(max_examples=150, deadline=None)
@given(made=seconds, threshold=st.integers(1, 8), minutes=st.integers(1, 5))
def test_whole_seconds_within_minutes_are_exact(made: list[tuple[int, str]], threshold: int, minutes: int) -> None:
    timespan = timedelta(minutes=minutes)
    assert by_window(told(timespan, None, threshold, made)) == walk(timespan, None, threshold, made, grid=False)


@settings(max_examples=50, deadline=None)
@given(made=moments, threshold=st.integers(1, 4))
def test_evidence_lies_in_the_window_and_is_the_earliest_kept(made: list[tuple[int, str]], threshold: int) -> None:
    for finding in told(T, None, threshold, made):
        assert finding.evidence
        times = [each.time for each in finding.evidence]
        assert times == sorted(times)
        assert finding.first_seen <= times[0] <= finding.time
        assert finding.explanation[0].usual == f"< {threshold}"
