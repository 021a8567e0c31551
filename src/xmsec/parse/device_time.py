"""Times as security devices write them (CEF's `rt`, LEEF's `devTime`): milliseconds, `Nov 24 2026 08:00:00.123 CST`, or ISO."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from xmsec.parse.times import MONTHS, bad_time, epoch_time, iso_time, yearless_time

_MILLISECONDS = re.compile(r"\d{10,16}", re.ASCII)
_NAMED = re.compile(
    r"([A-Z][a-z]{2}) {1,2}(\d{1,2})(?: (\d{4}))? (\d\d:\d\d:\d\d(?:\.\d{1,6})?)(?: ?([A-Z]{1,5})?([+-]\d\d:?\d\d)?)?", re.ASCII
)
_ZULU = frozenset({"Z", "UTC", "GMT", "UT"})
_SECONDS_DIGITS = 10


def device_time(zone: tzinfo) -> Callable[[str, datetime], datetime]:
    """Read such a time; without a year it is the latest that is not after its receipt, without a zone the stream's."""
    iso, seconds, milliseconds = iso_time(zone), epoch_time(1_000_000), epoch_time(1_000)
    here, zulu = yearless_time(zone), yearless_time(UTC)

    def read(text: str, received: datetime) -> datetime:
        if _MILLISECONDS.fullmatch(text):
            return seconds(text) if len(text) == _SECONDS_DIGITS else milliseconds(text)
        named = _NAMED.fullmatch(text)
        if named is None:
            return iso(text)
        month, day, year, clock, name, offset = named.groups()
        if year is None and offset is None:
            return (zulu if name in _ZULU else here)(f"{month} {day} {clock}", received)
        if month not in MONTHS:
            raise bad_time()
        year = year or str(received.astimezone(zone).year)
        return iso(f"{year}-{MONTHS[month]:02}-{int(day):02} {clock}{f' {offset or name}' if offset or name else ''}")

    return read
