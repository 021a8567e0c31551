"""Hours at which something is expected: local time of day and weekdays; only they count towards a silence."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import msgspec

from xmsec.model.clock import DAY

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = r"([01]\d|2[0-3]):([0-5]\d)"
_SPAN = re.compile(f"{_CLOCK}-(?:{_CLOCK}|24:00)")


class Hours(msgspec.Struct, frozen=True):
    """Expected from `start` to `end` (at or before `start`: of the next day) of these weekdays (0 is Monday), local time."""

    start: time
    end: time
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)


def hours(span: str, weekdays: tuple[str, ...] = WEEKDAYS) -> Hours | None:
    """Read `08:00-20:00` and names of weekdays; None when they are none.

    >>> hours("22:00-06:00", ("fri",))
    Hours(start=datetime.time(22, 0), end=datetime.time(6, 0), weekdays=(4,))
    """
    match = _SPAN.fullmatch(span)
    if match is None or not weekdays or not set(weekdays) <= set(WEEKDAYS):
        return None
    start, end = span.split("-")
    days = tuple(number for number, name in enumerate(WEEKDAYS) if name in weekdays)
    return Hours(time.fromisoformat(start), time.fromisoformat(end) if end != "24:00" else time(0), days)


def after(moment: datetime, length: timedelta, expected: Hours | None, zone: tzinfo) -> datetime:
    """Return when `length` of expected time has passed since a moment (without hours, all time is expected)."""
    if expected is None:
        return moment + length
    day = moment.astimezone(zone).date() - DAY  # a night shift of yesterday may still run
    while True:
        start, end = _shift(day, expected, zone)
        if day.weekday() in expected.weekdays and end > moment:
            begin = max(start, moment)
            if end - begin >= length:
                return begin + length
            length -= end - begin
            moment = end
        day += DAY


def _shift(day: date, expected: Hours, zone: tzinfo) -> tuple[datetime, datetime]:
    last = day if expected.end > expected.start else day + DAY
    start = datetime.combine(day, expected.start, zone).astimezone(UTC)
    return start, datetime.combine(last, expected.end, zone).astimezone(UTC)
