"""Silences found from runs are those that a plain walk over all events finds, to the second."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import at, event

from xmsec.detect.fold import About
from xmsec.detect.hours import Hours, after, hours
from xmsec.detect.kinds.silence import RUNS, Expected, Silence, Spoken
from xmsec.model.types import Context, Key, Window

ZONE = ZoneInfo("Asia/Shanghai")
KEY = Key("stream", "city.web")
ABOUT = About("silence", "1", "silence", "静默 · Silence", "high")


def detector(silence_s: int, active: Hours | None = None) -> Silence:
    return Silence(ABOUT, {"city.web": Expected("city", timedelta(seconds=silence_s), active)}, ZONE)


def walked(times: list[int], silence_s: int, active: Hours | None) -> set[Window]:
    """Count expected seconds one minute at a time: slow, and nothing in common with what is tested."""
    found = set()
    for last, then in zip(times, [*times[1:], None], strict=True):
        counted, moment = 0, at(last)
        while counted < silence_s and (then is None or moment < at(then)):
            counted += 60 if expected(moment, active) else 0
            moment += timedelta(minutes=1)
        if counted >= silence_s and (then is None or moment <= at(then)):
            found.add(Window(at(last), moment if then is None else at(then)))
    return found


def expected(moment: datetime, active: Hours | None) -> bool:
    if active is None:
        return True
    local = moment.astimezone(ZONE)
    clock, day = local.time(), local.weekday()
    if active.start < active.end:
        return active.start <= clock < active.end and day in active.weekdays
    early = clock < active.end and (day - 1) % 7 in active.weekdays
    return early or (clock >= active.start and day in active.weekdays)


@pytest.mark.parametrize(
    "active",
    [
        pytest.param(None, id="always"),
        pytest.param(hours("08:00-20:00"), id="by day"),
        pytest.param(hours("22:00-06:00", ("fri", "mon")), id="two nights a week"),
        pytest.param(hours("00:00-24:00", ("sat",)), id="a day a week"),
    ],
)
@settings(max_examples=60, deadline=None)
@given(
    minutes=st.lists(st.integers(0, 9 * 1440), min_size=1, max_size=12, unique=True),
    silence_min=st.integers(1, 900),
    cuts=st.lists(st.integers(0, 20 * 1440), max_size=4),
    data=st.data(),
)
def test_silences_are_those_of_a_plain_walk(
    active: Hours | None, minutes: list[int], silence_min: int, cuts: list[int], data: st.DataObject
) -> None:
    times = [60 * minute for minute in sorted(minutes)]
    order = data.draw(st.permutations(times))
    watched = detector(60 * silence_min, active)
    state = watched.step({KEY: Spoken()}, [(KEY, Context(event(second, second))) for second in order])[0][KEY]
    told = {}
    for minute in [*sorted(cuts), 40 * 1440]:
        after_all, findings = watched.advance({KEY: state}, at(60 * minute))
        state = after_all[KEY] or Spoken()
        told.update({finding.id: finding.window for finding in findings})
    assert set(told.values()) == walked(times, 60 * silence_min, active)


def test_a_silence_is_told_at_its_limit_and_again_when_the_stream_speaks() -> None:
    watched = detector(1800)
    state = watched.step({KEY: Spoken()}, [(KEY, Context(event(1, 0))), (KEY, Context(event(2, 60)))])[0][KEY]
    assert watched.due(state) == at(1860)
    state = watched.advance({KEY: state}, at(1860))[0][KEY]
    told = watched.advance({KEY: state}, at(1860))[1]
    assert (told, watched.due(state)) == ([], None)
    state = watched.step({KEY: state}, [(KEY, Context(event(3, 7261)))])[0][KEY]
    assert watched.due(state) == at(7261)
    (finding,) = watched.advance({KEY: state}, at(7300))[1]
    assert finding.window == Window(at(60), at(7261))
    assert (finding.state, finding.count, finding.events) == ("final", 1, (f"{2:032x}", f"{3:032x}"))
    assert [(it.what, it.value, it.usual) for it in finding.explanation] == [
        ("silence", "2h1s", "less than 30m"),
        ("last event", "2026-03-02T00:01:00Z", ""),
    ]


def test_an_event_at_the_limit_comes_too_late_and_one_before_it_does_not() -> None:
    for second, number in ((1799, 0), (1800, 1)):
        watched = detector(1800)
        state = watched.step({KEY: Spoken()}, [(KEY, Context(event(1, 0))), (KEY, Context(event(2, second)))])[0][KEY]
        assert len(watched.advance({KEY: state}, at(second))[1]) == number


def test_a_state_of_very_many_silences_is_bounded() -> None:
    watched = detector(60)
    batch = [(KEY, Context(event(number, 100 * number))) for number in range(1000)]
    assert len(watched.step({KEY: Spoken()}, batch)[0][KEY].runs) == RUNS


def test_expected_time_ends_in_the_night_shift_that_began_yesterday() -> None:
    night = hours("22:00-06:00", ("mon",))
    tuesday_5 = datetime(2026, 3, 3, 5, tzinfo=ZONE)
    assert after(tuesday_5, timedelta(minutes=30), night, ZONE) == datetime(2026, 3, 3, 5, 30, tzinfo=ZONE)
    assert after(tuesday_5, timedelta(hours=2), night, ZONE) == datetime(2026, 3, 9, 23, tzinfo=ZONE)


@pytest.mark.parametrize("text", ["8:00-20:00", "08:00", "08:00-25:00", "08:00–20:00", ""])
def test_what_is_no_span_of_hours_is_refused(text: str) -> None:
    assert hours(text) is None


def test_a_weekday_that_is_none_is_refused() -> None:
    assert hours("08:00-20:00", ("montag",)) is None
    assert hours("08:00-20:00", ()) is None
