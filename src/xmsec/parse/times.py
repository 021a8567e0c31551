"""Times as logs write them become aware UTC; what names no zone, or only an abbreviation such as CST, is the deployment's.

Each maker returns a function of text that raises InputError(`bad-time`), without a cause that could quote the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from xmsec.model.clock import DAY, EPOCH
from xmsec.model.errors import InputError

MONTHS = {
    name: n for n, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
MINUTES = 1024  # cached starts of a minute, about 100 KiB: a log stays in one minute for many lines
_SECONDS = {f"{second:02}": timedelta(seconds=second) for second in range(61)}  # 60: a leap second is the next minute's first
_ZULU = frozenset({"Z", "UTC", "GMT", "UT"})
_ABBREVIATED = re.compile(r"(.*\d) ?([A-Z]{1,5})")
_OFFSET = re.compile(r"(.*\d) ([+-]\d\d(?::?\d\d)?)")
_CLF = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):([+-])(\d\d)(\d\d)", re.ASCII)
_MICROS_BY_FORM = {"epoch_s": 1_000_000, "epoch_ms": 1_000}


def bad_time() -> InputError:
    """Make the error of every time that cannot be read."""
    return InputError("bad-time")


def log_time() -> Callable[[str, str], datetime]:
    """Read the times of common logs, in two words: `17/May/2015:10:05:03` and `+0000`."""
    starts: dict[str, datetime] = {}

    def read(day: str, offset: str) -> datetime:
        minute = day[:18] + offset
        start = starts.get(minute)
        if start is None:
            start = _clf_minute(minute)
            if len(starts) >= MINUTES:
                starts.clear()
            starts[minute] = start
        second = _SECONDS.get(day[18:])
        if second is None:
            raise bad_time()
        return start + second

    return read


def _clf_minute(text: str) -> datetime:
    match = _CLF.fullmatch(text)
    if match is None:
        raise bad_time()
    day, month, year, hour, minute, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    start = _built(int(year), MONTHS.get(month, 0), int(day), int(hour), int(minute), zone=UTC)
    return start + offset if sign == "-" else start - offset


def iso_time(zone: tzinfo) -> Callable[[str], datetime]:
    """Read ISO 8601 and what resembles it: a space for `T`, an abbreviation for the offset, none at all."""

    def read(text: str) -> datetime:
        time = _iso(text)
        if time is None:
            time = _with_suffix(text)
        try:
            return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
        except OverflowError:
            pass
        raise bad_time()

    return read


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _with_suffix(text: str) -> datetime:
    match = _OFFSET.fullmatch(text)
    if match is not None:
        time = _iso(match[1] + match[2])
    else:
        match = _ABBREVIATED.fullmatch(text)
        time = None if match is None else _iso(match[1])
        if time is not None and match is not None and match[2] in _ZULU:
            time = time.replace(tzinfo=UTC)
    if time is None:
        raise bad_time()
    return time


def epoch_time(micros_per_unit: int) -> Callable[[Any], datetime]:
    """Read seconds (1,000,000 microseconds a unit) or milliseconds (1,000) since 1970."""

    def read(value: Any) -> datetime:
        try:
            return EPOCH + timedelta(microseconds=round(float(value) * micros_per_unit))
        except (ValueError, TypeError, OverflowError):
            pass
        raise bad_time()

    return read


def declared_time(form: str, zone: tzinfo) -> Callable[[Any], datetime]:
    """Read times in a stream's own form: `rfc3339`, `epoch_s`, `epoch_ms`, or strptime's codes."""
    if form in _MICROS_BY_FORM:
        return epoch_time(_MICROS_BY_FORM[form])
    iso = iso_time(zone)

    def read(value: Any) -> datetime:
        if not isinstance(value, str):
            raise bad_time()
        if form == "rfc3339":
            return iso(value)
        try:
            time = datetime.strptime(value, form)
            return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
        except (ValueError, OverflowError, re.error):
            pass
        raise bad_time()

    return read


def yearless_time(zone: tzinfo) -> Callable[[str, datetime], datetime]:
    """Read `Nov 24 08:00:00` in the latest year in which it is not more than a day after it was received."""

    def read(text: str, received: datetime) -> datetime:
        month, day, clock = text.split()
        hour, minute, second = clock.split(":")
        latest = received.astimezone(zone).year + 1
        seconds = timedelta(seconds=float(second))
        for year in range(latest, latest - 9, -1):  # the 29th of February comes once in up to eight years
            try:
                time = _built(year, MONTHS.get(month, 0), int(day), int(hour), int(minute), zone=zone) + seconds
            except InputError:
                continue
            if time <= received + DAY:
                return time
        raise bad_time()

    return read


def _built(*parts: int, zone: tzinfo) -> datetime:
    year, month, day, hour, minute = parts
    try:
        return datetime(year, month, day, hour, minute, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise bad_time()
